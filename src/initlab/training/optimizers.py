"""What an optimizer is, known once: a row of `OPTIMIZERS`, which training, inspection, scaling and the fits ask.

The rooms below training need the same table: this file imports nothing of the package but `initlab.errors` and the
stacked updates beside it, and a contract of lint-imports holds it there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from initlab.errors import InputError, finite_number, shown, text, unknown
from initlab.training import updates

_BETAS = {"betas": (0.9, 0.999), "eps": 1e-8}


@dataclass(frozen=True)
class Optimizer:
    """One optimizer.

    Attributes:
        name: its torch class's, in small letters.
        family: how its steps go: "sgd" by the gradient's size; "sign" of about lr whatever the gradient; "orthogonal"
            by a matrix of equal singular values.
        lr: the learning rate when none is given.
        decay: its weight decay when none is given: torch's own.
        options: its own options and their defaults; lr and weight_decay belong to a run.
        made_by: its class in torch.optim; None where torch has none.
        stacked: its update for runs that are trained as one; None where they are trained apart.
        vectors: the optimizer for what it does not take (Muon takes matrices); "" where it takes all.
    """

    name: str
    family: str
    lr: float
    decay: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    made_by: Callable[..., torch.optim.Optimizer] | None = None
    stacked: updates.StackedUpdate | None = None
    vectors: str = ""

    @property
    def eps(self) -> float:
        """What keeps it from dividing by zero; 0 where it does not divide."""
        return float(self.options.get("eps", 0.0))


OPTIMIZERS: tuple[Optimizer, ...] = (
    Optimizer("sgd", "sgd", 1e-2, 0.0, {"momentum": 0.0, "nesterov": False}, torch.optim.SGD, updates.SGD),
    Optimizer("adam", "sign", 1e-3, 0.0, _BETAS, torch.optim.Adam, updates.ADAM),
    Optimizer("adamw", "sign", 1e-3, 0.01, _BETAS, torch.optim.AdamW, updates.ADAMW),
    Optimizer("nadam", "sign", 2e-3, 0.0, {**_BETAS, "momentum_decay": 4e-3}, torch.optim.NAdam),
    Optimizer("radam", "sign", 1e-3, 0.0, _BETAS, torch.optim.RAdam),
    Optimizer("adamax", "sign", 2e-3, 0.0, _BETAS, torch.optim.Adamax),
    Optimizer("rmsprop", "sign", 1e-2, 0.0, {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0}, torch.optim.RMSprop),
    Optimizer("adagrad", "sign", 1e-2, 0.0, {"lr_decay": 0.0, "eps": 1e-10}, torch.optim.Adagrad),
    Optimizer("lion", "sign", 1e-4, 0.0, {"betas": (0.9, 0.99)}),
    Optimizer("muon", "orthogonal", 1e-3, 0.1, {"momentum": 0.95, "nesterov": True}, torch.optim.Muon, vectors="adamw"),
)


def trained() -> list[str]:
    """Names of the optimizers that runs can be trained with.

    >>> trained()[:3]
    ['sgd', 'adam', 'adamw']
    """
    return [row.name for row in OPTIMIZERS if row.made_by is not None and not row.vectors]


def in_torch() -> list[str]:
    """Names of the optimizers that torch has.

    >>> in_torch()[-1]
    'muon'
    """
    return [row.name for row in OPTIMIZERS if row.made_by is not None]


def of_families(*families: str) -> list[str]:
    """Names of the optimizers of some families.

    >>> of_families("orthogonal")
    ['muon']
    """
    return [row.name for row in OPTIMIZERS if row.family in families]


def optimizer_of(optimizer: Any, names: Iterable[str] | None = None) -> Optimizer:
    """The row of an optimizer: by its name, its class, or one of it.

    Args:
        optimizer: "adamw", `torch.optim.AdamW`, or an object of that class.
        names: those that the caller takes; None takes all.

    Raises:
        InputError: an optimizer that is not known, with the nearest name.

    >>> optimizer_of(torch.optim.AdamW).decay
    0.01
    """
    kind: Any = type(optimizer) if isinstance(optimizer, torch.optim.Optimizer) else optimizer
    name: str = kind.__name__ if inspect.isclass(kind) else text(kind)
    taken = [row.name for row in OPTIMIZERS] if names is None else list(names)
    found = next((row for row in OPTIMIZERS if row.name == name.lower() and row.name in taken), None)
    if found is None:
        raise unknown("optimizer", name, taken)
    return found


def optimizer_options(optimizer: str, options: Any, names: Iterable[str] | None = None) -> dict[str, Any]:
    """The optimizer's options with its defaults filled in, checked.

    Args:
        optimizer: its name.
        options: those that are not to be the defaults.
        names: the optimizers that the caller takes; None takes those of `trained`.

    >>> optimizer_options("sgd", {"momentum": 0.9})
    {'momentum': 0.9, 'nesterov': False}

    Raises:
        InputError: an optimizer that runs cannot be trained with, an unknown option, or a value outside its range.
    """
    known = optimizer_of(optimizer, trained() if names is None else names).options
    if not isinstance(options, Mapping):
        raise InputError(f"options must be a mapping such as {{'momentum': 0.9}}; got {shown(options)}")
    for name in options:
        if name not in known:
            raise unknown(f"option of optimizer {optimizer!r}", name, known)
    merged = {name: _checked(name, value) for name, value in {**known, **options}.items()}
    if merged.get("nesterov") and not merged["momentum"]:
        raise InputError("nesterov=True needs momentum above 0; got momentum 0")
    return merged


def _checked(name: str, value: Any) -> Any:
    return _CHECKS[name](name, value) if name in _CHECKS else finite_number(name, value, low=0)


def _betas(name: str, value: Any) -> tuple[float, ...]:
    betas = tuple(value) if isinstance(value, Sequence) else ()
    if len(betas) != 2 or not all(isinstance(b, int | float) and math.isfinite(b) and 0 <= b < 1 for b in betas):
        raise InputError(f"{name} must be two numbers in [0, 1); got {shown(value)}")
    return betas


def _whether(name: str, value: Any) -> bool:
    return bool(value)


# Option -> what its value must be; all others are numbers of at least 0.
_CHECKS: dict[str, Callable[[str, Any], Any]] = {"betas": _betas, "nesterov": _whether}
