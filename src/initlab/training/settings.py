"""What belongs together in `compare` and `search`, held in one object: how runs are trained, kept and counted."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ParamSpec, TypeVar

import torch

from initlab.errors import InputError
from initlab.guest.run import autograd_modes
from initlab.training.task import Loss

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Training:
    """How every run is trained; each argument is that of `compare`, and None is its default there.

    >>> Training(optimizer="sgd", lr=0.1, steps=500).steps
    500
    """

    optimizer: str | None = None
    lr: float | Sequence[float] | Mapping[str, Any] | None = None
    weight_decay: float | None = None
    options: Mapping[str, Any] | None = None
    loss: str | Loss | None = None
    batch_size: int | None = None
    steps: int | None = None
    dtype: torch.dtype | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """Where runs are kept, and under which name; each argument is that of `compare`, `name` its `study`."""

    name: str | None = None
    storage: Any = None
    allow_drift: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """How many runs a comparison rests on, and what is counted; each argument is that of `compare`."""

    seeds: int | Sequence[int] | None = None
    seed: int | None = None
    shared_order: bool | None = None
    race: bool | None = None
    budget: int | None = None
    target_loss: float | None = None
    evaluations: int | None = None
    curve_points: int | None = None


GROUPS: dict[str, type] = {"training": Training, "study": Study, "statistics": Statistics}


def grouped(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which then finds what an object of `GROUPS` holds in its own flat arguments, and learns in any mode.

    Raises:
        InputError: an argument given twice, or one that the function does not have.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = dict(signature.bind_partial(*args, **kwargs).arguments)
        except TypeError:
            return function(*args, **kwargs)  # which says what is wrong
        for name, kind in GROUPS.items():
            group = given.get(name)
            if isinstance(group, kind):
                del given[name]
                given |= _flat(function.__name__, name, group, given, signature)
            elif group is not None and name != "study":
                raise InputError(f"{name} must be a {kind.__name__}; got {type(group).__name__}")
        with autograd_modes(gradients=True):
            return function(**given)  # type: ignore[call-arg]  # its own arguments, by name

    return call


def _flat(function: str, name: str, group: Any, given: Mapping[str, Any], signature: inspect.Signature) -> Any:
    found: dict[str, Any] = {}
    for field in fields(group):
        value, argument = getattr(group, field.name), "study" if field.name == "name" else field.name
        if value is None:
            continue
        if argument not in signature.parameters:
            raise InputError(f"{function} takes no {argument}; leave it out of {type(group).__name__}")
        if argument in given:
            raise InputError(f"{argument} must stand in {name}= or beside it, not in both")
        found[argument] = value
    return found
