"""What cures one cause: in words, as code that runs as pasted, and as what it does to model, data and loss."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from initlab.data.pairs import target_key
from initlab.data.reading import is_dataset, is_loader
from initlab.errors import InputError
from initlab.schemes import Scheme, get_scheme

Tensor = torch.Tensor
STANDARDIZED = "from initlab.inspection import standardized"


@dataclass(frozen=True)
class Remedy:
    """One change.

    Attributes:
        what: in words.
        code: lines on the names `model`, `inputs`, `targets`, `loss`, `lr` and `optimizer`; "" where only its author
            can write them.
        policy: what `init_` writes into the model: {parameter name: scheme}, or "auto" for the whole model.
        prepare: does something else to the model, such as `model.train()`.
        settings: {(module name, attribute): its other value}, such as a dropout's p.
        inputs: makes other inputs.
        targets: makes other targets.
        loss: another loss; None keeps it.
        lr: another learning rate; None keeps it.
        decay: another weight decay, over the present one; None keeps it.
        whole: the optimizer holds every parameter.
    """

    what: str
    code: str = ""
    policy: Mapping[str, Scheme | str] | str | None = None
    prepare: Callable[[nn.Module], Any] | None = None
    settings: Mapping[tuple[str, str], float] = field(default_factory=dict)
    inputs: Callable[[Any], Any] | None = None
    targets: Callable[[Any], Any] | None = None
    loss: Any = None
    lr: float | None = None
    decay: float | None = None
    whole: bool = False

    @property
    def acts(self) -> bool:
        """Whether it does something, or only says what its author must change."""
        return bool(self.code) or self.policy is not None


def drawn_again(policy: Mapping[str, Scheme | str] | str, what: str) -> Remedy:
    """Parameters written by `init_`."""
    return Remedy(what, policy=policy)


def set_to(value: float, modules: list[str], attribute: str, what: str) -> Remedy:
    """Modules whose attribute is another number."""
    code = f"for name in {modules!r}:\n    model.get_submodule(name).{attribute} = {value!r}"
    return Remedy(what, code, settings={(module, attribute): value for module in modules})


@contextlib.contextmanager
def settings_of(model: nn.Module, remedies: Iterable[Remedy]) -> Iterator[None]:
    """Inside, modules' attributes are what the remedies say; afterwards their own again."""
    own: list[tuple[nn.Module, str, Any]] = []
    try:
        for (name, attribute), value in (item for r in remedies for item in r.settings.items()):
            module = model.get_submodule(name)
            own.append((module, attribute, getattr(module, attribute)))
            setattr(module, attribute, value)
        yield
    finally:
        for module, attribute, value in reversed(own):
            setattr(module, attribute, value)


def starting_at(value: float) -> Scheme:
    """The scheme of a parameter that starts at one number."""
    return {0.0: get_scheme("zeros"), 1.0: get_scheme("ones")}.get(value) or get_scheme("constant", value=value)


def standardized(value: Any) -> Any:
    """Floating-point numbers of mean 0 and standard deviation 1: (x - mean) / std.

    Args:
        value: a tensor, or a tuple or dict of them; whole numbers stay, and so do masks (nothing but 0 and 1) and a
            dict's targets (`labels`, `target`, …). Columns of a table (N, d) are taken one by one, a column that
            is the same in every row only loses its mean; images and sequences are taken as a whole.

    Raises:
        InputError: a DataLoader or Dataset, whose samples are made elsewhere.

    >>> standardized(torch.tensor([[1.0], [3.0]]) * 100).flatten().tolist()
    [-1.0, 1.0]
    """
    if is_loader(value) or is_dataset(value):
        raise InputError(
            f"standardized takes tensors; a {type(value).__name__} makes its samples itself: "
            "standardize where it reads them, such as in its transform"
        )
    if isinstance(value, dict):
        targets = target_key(value)
        return {key: item if key == targets else standardized(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(standardized(item) for item in value)
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.layout != torch.strided:
        return value
    if bool(((value == 0) | (value == 1)).all()):
        return value
    axes = [0] if value.ndim <= 2 else list(range(value.ndim))
    centred = value - value.mean(axes, keepdim=True)
    std = centred.square().mean(axes, keepdim=True).sqrt()
    return centred / torch.where(std > 0, std, 1.0)
