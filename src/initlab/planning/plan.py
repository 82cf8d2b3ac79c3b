"""A plan: the law of every parameter of a model, with the reason for each, before anything is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from initlab.errors import unknown
from initlab.sampling.laws import Law
from initlab.schemes import Fans, Geometry, Scheme

if TYPE_CHECKING:
    import pandas as pd

Action = Literal["write", "keep", "refuse"]


@dataclass(frozen=True)
class PlanEntry:
    """What happens to one parameter.

    Args:
        name: the canonical parameter name (wrapper prefixes such as `module.` taken away).
        shape: the global shape.
        dtype: "float32", "bfloat16", ...
        fans: the fans of the weight (of one block when packed); None where it has none.
        law: what its values are drawn from; None when it is not written.
        std: the law's standard deviation; None when it is not written.
        scheme: the scheme's label, or "keep" or "refuse".
        reason: why this law, or why it is kept or refused.
        action: "write", "keep" or "refuse".
        tied_to: the other names that reach the same tensor.
        geometry: the weight as a linear map, where known.
        role: "weight", "bias", "norm_weight", "norm_bias", "embedding", "recurrent_bias" or "other".
        layer: the type of the layer that holds it.
        recipe: the scheme itself, with formula and source.
        gain: the gain that was handed to the scheme; None for the scheme's own.
        asked: whether the policy names this parameter (a kept one may then hold anything).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    fans: Fans | None
    law: Law | None
    std: float | None
    scheme: str
    reason: str
    action: Action
    tied_to: tuple[str, ...] = ()
    geometry: Geometry | None = None
    role: str = "other"
    layer: str = ""
    recipe: Scheme | None = None
    gain: float | None = None
    asked: bool = False

    @property
    def numel(self) -> int:
        total = 1
        for size in self.shape:
            total *= size
        return total

    def __repr__(self) -> str:
        law = self.scheme if self.law is None else self.law.describe()
        return f"PlanEntry({self.name!r}, {self.shape}, {law}: {self.reason})"


@dataclass(frozen=True)
class BufferEntry:
    """What happens to one buffer: buffers are never drawn, so each is kept, with the reason."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str
    tied_to: tuple[str, ...] = ()
    action: Action = "keep"


@dataclass(frozen=True, repr=False)
class Plan:
    """The law of every parameter of a model. `print(plan)` is a table; nothing is written until `init_(model, plan)`.

    Args:
        entries: one for each parameter, in `named_parameters()` order; tied weights once.
        buffers: one for each buffer.
        policy: the policy in words.
        model: the model's type.
        warnings: what the user should know before writing.

    >>> from torch import nn
    >>> import initlab
    >>> plan = initlab.plan(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)))
    >>> [entry.name for entry in plan.entries]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    >>> round(plan["2.weight"].std, 4)
    0.25
    """

    entries: tuple[PlanEntry, ...]
    buffers: tuple[BufferEntry, ...] = ()
    policy: str = "auto"
    model: str = ""
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> PlanEntry:
        """The entry of the parameter called `name`, or tied to that name.

        Raises:
            InputError: no such parameter (with the nearest names).
        """
        for entry in self.entries:
            if name == entry.name or name in entry.tied_to:
                return entry
        raise unknown("parameter", name, (entry.name for entry in self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def counts(self) -> dict[str, int]:
        """How many parameters are written, kept and refused."""
        seen = Counter(entry.action for entry in self.entries)
        return {action: seen[action] for action in ("write", "keep", "refuse")}

    def with_warnings(self, warnings: tuple[str, ...]) -> Plan:
        return replace(self, warnings=(*self.warnings, *warnings)) if warnings else self

    def to_frame(self) -> pd.DataFrame:
        """The plan as a pandas DataFrame, one row a parameter, indexed by its name."""
        import pandas as pd

        from initlab.planning.view import RECORD_FIELDS, record

        rows = [record(entry) for entry in self.entries]
        return pd.DataFrame(rows, columns=["parameter", *RECORD_FIELDS]).set_index("parameter")

    def explain(self, name: str) -> str:
        """Why `name` gets its law: the formula, the fans and the gain that went in, the derivation and its source.

        Raises:
            InputError: no such parameter (with the nearest names).
        """
        from initlab.planning.view import explanation

        return explanation(self[name])

    def __repr__(self) -> str:
        from initlab.planning.view import plan_text

        return plan_text(self)

    def _repr_html_(self) -> str:
        from initlab.planning.view import plan_html

        return plan_html(self)
