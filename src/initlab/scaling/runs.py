"""A short training under a scaling rule, as the checks need it: a model of one size, started, stepped and watched."""

from __future__ import annotations

import inspect as signatures
import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from initlab.errors import InputError
from initlab.guest.inputs import mapped, tensors_in
from initlab.guest.modules import modules_of
from initlab.planning import get_policy, init_
from initlab.rng import random_states_kept
from initlab.sampling import canonical_name
from initlab.scaling.groups import param_groups
from initlab.scaling.growth import base_of
from initlab.scaling.rules import ScalingRule
from initlab.training.batches import Order
from initlab.training.losses import given_loss, named_loss
from initlab.training.optimizers import in_torch, optimizer_of

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
        batch_size: samples a step, in an order of the seed's; None takes the whole batch in every step.
    """

    build: Callable[..., Any]
    inputs: Any
    targets: Any
    loss: Any
    optimizer: str
    rule: ScalingRule
    policy: Any
    base: tuple[int, ...]
    batch_size: int | None = None

    def built(self, size: tuple[int, ...], seed: int) -> tuple[nn.Module, Any, Any]:
        """A model of a size, with the batch that it reads.

        Raises:
            InputError: `build` gives something else, or there is no batch.
        """
        with random_states_kept(seed):
            made = self.build(*size)
        whole = isinstance(made, tuple) and len(made) == 3
        model, inputs, targets = made if whole else (made, self.inputs, self.targets)
        if not isinstance(model, nn.Module):
            raise InputError(
                f"build must return a model, or (model, inputs, targets); got {type(made).__name__} for {size}"
            )
        if inputs is None:
            raise InputError("a check trains on one batch: pass inputs= and targets=, or return them from build")
        return model, inputs, targets


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
        losses: the loss before each step, and after the last.
        outputs: each layer's output at the last pass.
        batches: the samples of each step; None for all of them.
    """

    model: nn.Module
    inputs: Any
    targets: Any
    loss: Any
    optimizers: list[torch.optim.Optimizer]
    losses: list[float] = field(default_factory=list)
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    batches: Iterator[torch.Tensor] | None = None

    def step(self) -> None:
        """A pass on the step's samples and one step."""
        self.passed(step=True)

    def passed(self, step: bool = False) -> None:
        """A pass; its loss is kept, and the layers' outputs where no step follows."""
        inputs, targets = (
            (self.inputs, self.targets) if self.batches is None or not step else self.rows(next(self.batches))
        )
        with nullcontext() if step else _watched(self.model, self.outputs), torch.set_grad_enabled(step):
            output = _called(self.model, inputs)
            loss = _loss(self.loss, output, targets)
        self.losses.append(float(loss.detach()))
        if step:
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            for optimizer in self.optimizers:
                optimizer.step()

    def rows(self, rows: torch.Tensor) -> tuple[Any, Any]:
        """The inputs and targets of some samples."""
        count = _samples(self.inputs)

        def of_rows(tensor: torch.Tensor) -> torch.Tensor:
            return tensor[rows] if tensor.dim() and len(tensor) == count else tensor

        return mapped(self.inputs, of_rows), mapped(self.targets, of_rows)


def _samples(inputs: Any) -> int:
    return next((len(tensor) for tensor in tensors_in(inputs) if tensor.dim()), 0)


def begin(shared: Setup, size: tuple[int, ...], lr: float, seed: int) -> Run:
    """A model of a size, started by the policy, with the rule's groups."""
    model, inputs, targets = shared.built(size, seed)
    base, _, _ = shared.built(shared.base, seed)
    for module in model.modules():  # nothing is dropped, and norms read the batch
        module.train(False)
    for module in model.modules():
        module.training = getattr(module, "running_mean", None) is not None
    run = Run(model, inputs, targets, shared.loss, [])
    if shared.batch_size is not None:
        count = _samples(inputs)
        if shared.batch_size > count:
            raise InputError(f"batch_size must be at most the number of samples, {count}; got {shared.batch_size}")
        order = Order(count, shared.batch_size, drop_last=True, seed=seed)
        run.batches = map(order.batch, itertools.count())
        inputs = run.rows(torch.arange(shared.batch_size))[0]
    init_(model, _policy(shared, base, inputs), example_inputs=inputs, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a tied head is told by what it does, in the result
        groups = param_groups(model, shared.optimizer, lr, base, rule=shared.rule.name, example_inputs=inputs)
    run.optimizers.extend(_optimizers(groups, shared.optimizer))
    return run


def _policy(shared: Setup, base: nn.Module, inputs: Any) -> Any:
    """The start; one that counts the base's branches is told how many they are."""
    counts = base_of(base, inputs).branches if shared.policy == "completep" else None
    return shared.policy if not counts else get_policy("completep", base_branches=counts)


def _optimizers(groups: list[dict[str, Any]], name: str) -> Iterator[torch.optim.Optimizer]:
    by: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        by.setdefault(group.get("optimizer", name), []).append(group)
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


def _called(model: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def _loss(loss: Any, output: Any, targets: Any) -> torch.Tensor:
    made = next((tensor for tensor in tensors_in(output) if tensor.is_floating_point()), None)
    if made is None:
        raise InputError("the model returns no floating-point tensor to take a loss of")
    if targets is None and loss is None:
        raise InputError("a check needs targets, or loss= as a function (output, targets) -> scalar")
    if loss is None and not targets.is_floating_point():
        return F.cross_entropy(made.reshape(-1, made.shape[-1]), targets.reshape(-1))
    chosen = named_loss("mse" if loss is None else loss) if loss is None or isinstance(loss, str) else given_loss(loss)
    value: torch.Tensor = chosen.call(made, targets)
    return value
