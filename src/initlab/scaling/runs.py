"""A short training under a scaling rule, as the checks need it: a model of one size, started, stepped and watched."""

from __future__ import annotations

import inspect as signatures
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from initlab.errors import InputError, told
from initlab.guest.inputs import brought, home_of, mapped, tensors_in
from initlab.guest.modules import in_mode, modules_of
from initlab.planning import Plan, get_policy, init_
from initlab.rng import random_states_kept
from initlab.sampling import canonical_name
from initlab.scaling.groups import param_groups
from initlab.scaling.growth import base_of
from initlab.scaling.rules import ScalingRule
from initlab.training.engines.runs import scalar
from initlab.training.given_losses import given_loss
from initlab.training.losses import named_loss
from initlab.training.optimizers import in_torch, optimizer_of
from initlab.training.rehearsal import check_new

RATES = {"sgd": 0.1, "sign": 0.004, "orthogonal": 0.02}  # the rates that checks take where none is given, by family


@dataclass(frozen=True)
class Setup:
    """What every run of a check shares.

    Args:
        build: (width) or (width, depth) -> a model, or (model, inputs, targets).
        inputs, targets: one batch, where `build` does not give it.
        loss: a name, a function (output, targets) -> scalar, or None for the usual one of the targets.
        optimizer: its name.
        rule: the scaling rule.
        policy: the start.
        base: the size that the rates are stated for.
    """

    build: Callable[..., Any]
    inputs: Any
    targets: Any
    loss: Any
    optimizer: str
    rule: ScalingRule
    policy: Any
    base: tuple[int, ...]

    def built(self, size: tuple[int, ...], seed: int) -> tuple[nn.Module, Any, Any]:
        """A model of a size, with the batch that it reads.

        Raises:
            InputError: `build` gives something else, or there is no batch.
        """
        with random_states_kept(seed), told(f"build({', '.join(map(str, size))})"):
            made = self.build(*size)
        whole = isinstance(made, tuple) and len(made) == 3
        model, inputs, targets = made if whole else (made, self.inputs, self.targets)
        if not isinstance(model, nn.Module):
            raise InputError(
                f"build must return a model, or (model, inputs, targets); got {type(made).__name__} for {size}"
            )
        if inputs is None:
            raise InputError("a check trains on one batch: pass inputs= and targets=, or return them from build")
        if not samples_in(inputs):
            raise InputError(
                "inputs must be a tensor, a tuple of positional arguments or a dict of keyword arguments, with rows of "
                f"samples; got {type(inputs).__name__}"
            )
        home = home_of(model)
        return model, brought(inputs, home), brought(targets, home)


def setup(
    build: Any, inputs: Any, targets: Any, loss: Any, optimizer: Any, rule: ScalingRule, policy: Any,
    base: tuple[int, ...],
) -> Setup:  # fmt: skip
    """The arguments of a check, checked.

    Raises:
        InputError: no function to build with, or an optimizer that torch does not have.
    """
    if isinstance(build, nn.Module) or not callable(build):
        raise InputError(f"build must be a function of a width that returns a new model; got {type(build).__name__}")
    name = optimizer_of(optimizer, in_torch()).name
    return Setup(build, inputs, targets, loss, name, rule, rule.policy if policy is None else policy, base)


@dataclass
class Run:
    """One model in training.

    Args:
        model: it.
        inputs, targets: its batch.
        loss: as the user gave it.
        plan: by which it was started.
        groups: those of `param_groups`.
        optimizer: the name of the one that steps.
        outputs: each layer's output at the last pass.
        output: the model's own.
    """

    model: nn.Module
    inputs: Any
    targets: Any
    loss: Any
    plan: Plan
    groups: list[dict[str, Any]]
    optimizer: str
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    output: Any = None

    @cached_property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """One for each that the groups name."""
        return list(_optimizers(self.groups, self.optimizer))

    def step(self) -> None:
        """A pass and one step."""
        loss = loss_of(self.loss, called(self.model, self.inputs), self.targets)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        for optimizer in self.optimizers:
            optimizer.step()

    def passed(self) -> float:
        """A pass; the outputs of the layers and of the model are kept, and its loss is given."""
        with _watched(self.model, self.outputs), torch.no_grad():
            with told("the forward pass"):
                self.output = called(self.model, self.inputs)
            with told("the loss of the model's output and the targets"):
                return float(loss_of(self.loss, self.output, self.targets))


def rows_of(inputs: Any, targets: Any, rows: torch.Tensor) -> tuple[Any, Any]:
    """The inputs and targets of some samples; what has no row for each sample stays whole."""
    count = samples_in(inputs)

    def of_rows(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[rows] if tensor.dim() and len(tensor) == count else tensor

    return mapped(inputs, of_rows), mapped(targets, of_rows)


def samples_in(inputs: Any) -> int:
    """How many samples a batch holds: the rows of its first tensor."""
    return next((len(tensor) for tensor in tensors_in(inputs) if tensor.dim()), 0)


def begin(shared: Setup, size: tuple[int, ...], lr: float, seed: int) -> Run:
    """A model of a size, started by the policy, with the rule's groups."""
    model, inputs, targets = shared.built(size, seed)
    base, _, _ = shared.built(shared.base, seed)
    check_new(model, base)
    plan = init_(still(model), _policy(shared, base, inputs), example_inputs=inputs, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a tied head is told by what it does, in the result
        groups = param_groups(model, shared.optimizer, lr, base, rule=shared.rule.name, example_inputs=inputs)
    return Run(model, inputs, targets, shared.loss, plan, groups, shared.optimizer)


def still(model: nn.Module) -> nn.Module:
    """The model in the modes of a check: nothing is dropped, and norms read the batch."""
    in_mode(model, False)
    for module in model.modules():
        module.training = getattr(module, "running_mean", None) is not None
    return model


def _policy(shared: Setup, base: nn.Module, inputs: Any) -> Any:
    """The start; one that counts the base's branches is told how many they are."""
    counts = base_of(base, inputs).branches if isinstance(shared.policy, str) and shared.policy == "completep" else None
    return shared.policy if not counts else get_policy("completep", base_branches=counts)


def _optimizers(groups: list[dict[str, Any]], name: str) -> Iterator[torch.optim.Optimizer]:
    by: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        by.setdefault(group.get("optimizer", name), []).append(dict(group))  # torch writes its defaults into them
    for own, held in by.items():
        make = optimizer_of(own).made_by
        assert make is not None  # `setup` asked
        settings = {"weight_decay": 0.0} if "weight_decay" in signatures.signature(make).parameters else {}
        yield make(held, lr=held[0]["lr"], **settings)


@contextmanager
def _watched(model: nn.Module, outputs: dict[str, torch.Tensor]) -> Iterator[None]:
    """Keeps the output of every layer that holds parameters of its own, and the model's."""
    handles = []
    for path, module in modules_of(model).values():
        if any(p is not None for p in module._parameters.values()) or module is model:
            name = canonical_name(path) if path else "output"
            handles.append(module.register_forward_hook(_keeper(name, outputs)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _keeper(name: str, outputs: dict[str, torch.Tensor]) -> Callable[..., None]:
    def keep(module: nn.Module, args: Any, output: Any) -> None:
        made = next((tensor for tensor in tensors_in(output) if tensor.is_floating_point()), None)
        if made is not None:
            outputs[name] = made.detach().clone()

    return keep


def called(model: nn.Module, inputs: Any) -> Any:
    """The model's output for a tensor, positional arguments or keyword arguments."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def loss_of(loss: Any, output: Any, targets: Any) -> torch.Tensor:
    """The loss of an output: as given, cross-entropy over the last axis for class numbers, else the squared error.

    Raises:
        InputError: an output that holds no numbers, no targets, or an unknown loss.
    """
    made = next((tensor for tensor in tensors_in(output) if tensor.is_floating_point()), None)
    if made is None:
        raise InputError("the model returns no floating-point tensor to take a loss of")
    if targets is None and loss is None:
        raise InputError("a check needs targets, or loss= as a function (output, targets) -> scalar")
    if not callable(loss) and not isinstance(targets, torch.Tensor):
        raise InputError(
            f"targets must be a tensor, or loss= a function of (output, targets); got {type(targets).__name__}"
        )
    if loss is None and not targets.is_floating_point():
        return F.cross_entropy(made.reshape(-1, made.shape[-1]), targets.reshape(-1).long())
    if loss is None or isinstance(loss, str):
        return scalar(named_loss("mse" if loss is None else loss).call(made, targets))
    return scalar(given_loss(loss).call(output, targets))
