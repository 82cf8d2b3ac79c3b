"""What is compared: each scheme (with each learning rate) is an arm, each arm with each seed is a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError, finite_number, repeated, seed_number, shown, text, told
from initlab.guest import check_built, check_materialised
from initlab.planning import Plan, Policy, plan
from initlab.rng import random_states_kept
from initlab.sampling import derive_seed
from initlab.schemes import ALIASES, Scheme
from initlab.training.optimizers import optimizer_of, trained
from initlab.training.task import RunSpec

AS_BUILT = "as_built"


@dataclass(frozen=True, eq=False)
class Arm:
    """One alternative: a policy with a learning rate.

    Args:
        label: what tables call it.
        scheme: the policy's label.
        policy: what `init_` is given: a `Plan` where one could be made, else the user's policy; None as built.
        lr: learning rate.
        weight_decay: weight decay.
        asked: the policy as the user wrote it.
    """

    label: str
    scheme: str
    policy: Any
    lr: float
    weight_decay: float
    asked: Any = None

    def spec(self, seed: int) -> RunSpec:
        """The run of this arm with this seed."""
        key = f"{self.scheme}|lr={self.lr!r}|wd={self.weight_decay!r}|seed={seed}"
        return RunSpec(key, self.scheme, self.policy, seed, self.lr, self.weight_decay)


def label_of(policy: Any) -> str:
    """What tables call a policy.

    >>> label_of({"@Linear": "he_normal", "*.bias": "zeros"})
    '@Linear: he_normal; *.bias: zeros'

    Raises:
        InputError: what is no policy.
    """
    if policy is None:
        return AS_BUILT
    if isinstance(policy, Plan):
        return policy.policy
    if isinstance(policy, Policy):
        return policy.name
    if isinstance(policy, Scheme):
        return policy.label
    if isinstance(policy, Mapping):
        parts = [f"{_selector(k)}: {'keep' if v == 'keep' else label_of(v)}" for k, v in policy.items()]
        return "; ".join(parts)
    if not isinstance(policy, str):
        raise InputError(
            f"schemes holds {type(policy).__name__}; each must be a name, a Scheme, a Plan or {{selector: scheme}}"
        )
    return policy


def _selector(key: Any) -> str:
    return f"@{key.__name__}" if isinstance(key, type) else text(key)


def named_policies(schemes: Any) -> dict[str, Any]:
    """Label -> policy, from a list of policies or from a mapping of labels to policies.

    Raises:
        InputError: no scheme, something that is none, or one twice.
    """
    try:
        several = None if isinstance(schemes, str | Scheme | Policy) else list(schemes)
    except TypeError:
        several = None
    if several is None:
        raise InputError(f"schemes must be a list such as ['he_normal', 'xavier_normal']; got {shown(schemes)}")
    if isinstance(schemes, Mapping):
        pairs = [(text(label), policy) for label, policy in schemes.items()]
    else:
        pairs = [(label_of(policy), policy) for policy in several]
    if not pairs:
        raise InputError("schemes must hold at least one scheme; got none")
    named: dict[str, Any] = {}
    for label, policy in pairs:
        if label in named:
            raise InputError(f"schemes holds {label!r} twice; each may stand once ({{label: scheme}} names them apart)")
        named[label] = None if policy == AS_BUILT else policy
    return named


def seed_list(seeds: Any) -> tuple[int, ...]:
    """`seeds` as distinct whole numbers: a count n means 0, …, n - 1.

    Raises:
        InputError: no seed, one twice, or something that is no seed.
    """
    if isinstance(seeds, bool | str | float):
        raise InputError(f"seeds must be a count or a list of whole numbers; got {shown(seeds)}")
    if isinstance(seeds, int):
        if not 1 <= seeds <= 1_000_000:
            raise InputError(f"seeds must be at least 1 (and at most 1,000,000); got {shown(seeds)}")
        return tuple(range(seeds))
    try:
        listed = [seed_number(seed, "seeds") for seed in seeds]
    except TypeError:
        raise InputError(f"seeds must be a count or a list of whole numbers; got {shown(seeds)}") from None
    if not listed:
        raise InputError("seeds must hold at least one seed; got none")
    twice = repeated(listed)
    if twice is not None:
        raise InputError(f"seeds holds {twice} twice; each may stand once")
    return tuple(listed)


def lr_lists(lr: Any, labels: Sequence[str], optimizer: str) -> dict[str, tuple[float, ...]]:
    """Label -> its learning rates, from a number, a list (a grid for every scheme) or a mapping per scheme.

    Raises:
        InputError: a rate that is not finite or is negative, one twice, a mapping that misses a scheme.
    """
    if isinstance(lr, Mapping):
        missing = [label for label in labels if label not in lr]
        extra = [label for label in lr if label not in labels]
        if missing or extra:
            what = f"misses {missing[0]!r}" if missing else f"names {extra[0]!r}, which is not compared"
            raise InputError(f"lr as a mapping needs one entry a scheme; it {what}")
        return {label: _rates(lr[label], optimizer) for label in labels}
    rates = _rates(lr, optimizer)
    return dict.fromkeys(labels, rates)


def _rates(lr: Any, optimizer: str) -> tuple[float, ...]:
    if lr is None:
        return (optimizer_of(optimizer).lr,)
    listed = list(lr) if isinstance(lr, Sequence) and not isinstance(lr, str) else [lr]
    rates = tuple(finite_number("lr", rate, low=0) for rate in listed)
    if not rates:
        raise InputError("lr must hold at least one learning rate; got an empty list")
    twice = repeated(rates)
    if twice is not None:
        raise InputError(f"lr holds {twice:g} twice; each rate may stand once")
    return rates


def make_arms(
    policies: Mapping[str, Any], rates: Mapping[str, tuple[float, ...]], weight_decay: float, plans: Mapping[str, Any]
) -> tuple[Arm, ...]:
    """One arm for each policy and learning rate; the label names the rate where there are several."""
    arms = []
    for name, policy in policies.items():
        for rate in rates[name]:
            label = name if len(rates[name]) == 1 else f"{name}, lr {rate:g}"
            arms.append(Arm(label, name, plans.get(name, policy), rate, weight_decay, policy))
    return tuple(arms)


def weight_decay_of(weight_decay: Any, optimizer: str) -> float:
    """The weight decay that is asked for; where none is, the optimizer's own.

    Raises:
        InputError: no finite number of at least 0; an optimizer that runs are not trained by.
    """
    own = optimizer_of(optimizer, trained()).decay
    return finite_number("weight_decay", own if weight_decay is None else weight_decay, low=0)


def first_model(build: Callable[[], nn.Module], root_seed: int, device: str = "cpu") -> nn.Module:
    """A model to plan for and to know the study by; never trained.

    Raises:
        InputError: `build` returns something else.
    """
    if isinstance(build, nn.Module):
        raise InputError(f"build must be a function that returns a new model; got a {type(build).__name__} itself")
    with random_states_kept(derive_seed(root_seed, "plan"), device), told("build()"):
        model = build()
    check_built(model)
    try:
        check_materialised(model)
    except InputError as error:
        raise InputError(f"build must return a model that has its values: {error}") from None
    return model


def make_plans(
    model: nn.Module, policies: Mapping[str, Any], example: torch.Tensor
) -> tuple[dict[str, Plan], list[str]]:
    """Label -> the plan that every run of the policy is written by; what aliases mean, and what could not be seen.

    One plan for all seeds: the model is recorded on example inputs, so that `auto` knows what feeds each layer.

    Raises:
        InputError: a policy that does not fit the model.
    """
    plans: dict[str, Plan] = {}
    names = [policy for policy in policies.values() if isinstance(policy, str)]
    notes = [f"{name!r} means {ALIASES[name]}" for name in names if name in ALIASES]
    for label, policy in policies.items():
        if policy is None:
            continue
        if isinstance(policy, Plan):
            plans[label] = policy
            continue
        try:
            plans[label] = plan(model, like_model(model, example), policy)
        except InputError as error:
            try:
                plans[label] = plan(model, policy=policy)
            except InputError:
                raise error from None  # the policy does not fit, whatever is recorded
            notes.append(f"{label}: planned without a forward pass ({error})")
    return plans, notes


def like_model(model: nn.Module, example: torch.Tensor) -> torch.Tensor:
    """The example where the model is, in the dtype of its parameters: `build` may make it on a GPU, data lies anywhere.

    >>> like_model(nn.Linear(2, 2, device="meta", dtype=torch.float64), torch.ones(1, 2))
    tensor(..., device='meta', size=(1, 2), dtype=torch.float64)
    """
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    if first is None:
        return example
    return example.to(device=first.device, dtype=first.dtype if example.is_floating_point() else None)
