"""A plan: the law of every parameter of a model, with the reason for each, before anything is written."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from initlab.planning.by_name import ByName
from initlab.planning.reason import Reason
from initlab.records import Changeable
from initlab.reporting import Shown, clean, format_number
from initlab.sampling.laws import Law
from initlab.schemes import Fans, Geometry, Scheme

MISSED = 0.2  # by what share a measured second moment may differ from what it is said or meant to be, and count as near
Action = Literal["write", "keep", "refuse"]


@dataclass(frozen=True)
class PlanEntry(Changeable):
    """What happens to one parameter.

    Args:
        name: the canonical parameter name (wrapper prefixes such as `module.` taken away).
        shape: the global shape.
        dtype: "float32", "bfloat16", ...
        fans: the fans of the weight (of one block when packed); None where it has none.
        law: what its values are drawn from; None when it is not written.
        std: the law's standard deviation; None when it is not written.
        scheme: the scheme's label, or "keep" or "refuse".
        reason: why this law, or why it is kept or refused: a `Reason`, whose `code` is what to count and test. Words
            alone get the action as their code.
        action: "write", "keep" or "refuse".
        tied_to: the other names that reach the same tensor.
        geometry: the weight as a linear map, where known.
        role: "weight", "bias", "norm_weight", "norm_bias", "embedding", "recurrent_bias" or "other".
        layer: the type of the layer that holds it.
        recipe: the scheme itself, with formula and source.
        gain: the gain that was handed to the scheme; None for the scheme's own.
        asked: whether the policy names this parameter (a kept one may then hold anything).
        correction: what brought its output to its target, of the std: found by a pass on the example inputs, or by
            rules where none could run.
        predicted: the second moment that rules say its output has with the derived std; None where none says.
        measured: (the second moment of what it makes with the derived std, on average over draws where that can be
            told, what that is to be), from that pass.
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
    correction: float = 1.0
    predicted: float | None = None
    measured: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.reason, Reason):
            object.__setattr__(self, "reason", Reason(self.action, self.reason))

    @property
    def code(self) -> str:
        """The reason's code."""
        return self.reason.code if isinstance(self.reason, Reason) else self.action

    @property
    def known(self) -> str:
        """How its std is known: "derived" by rules, "measured" where a pass corrected it, "both" where they agree."""
        if self.measured is None:
            return "derived" if self.std is not None else ""
        return "both" if self.correction == 1 else "measured"

    @property
    def numel(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        law = self.scheme if self.law is None else self.law.describe()
        return f"PlanEntry({self.name!r}, {self.shape}, {law}: {self.reason})"


@dataclass(frozen=True)
class BufferEntry:
    """What happens to one buffer: buffers are never drawn, so each is kept, with the reason."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: Reason
    tied_to: tuple[str, ...] = ()
    action: Action = "keep"


@dataclass(frozen=True, repr=False)
class Plan(Shown, ByName[PlanEntry]):
    """The law of every parameter of a model. `print(plan)` is a table; nothing is written until `init_(model, plan)`.

    `plan.save("plan.json")` and "plan.html" are reports, which nothing reads back. A plan that is to be written another
    day is pickled: with one seed it writes the same bits wherever it is loaded (torch and initlab must be there, and a
    pickle is to be trusted like code).

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

    def rows(self) -> tuple[PlanEntry, ...]:
        """The entries."""
        return self.entries

    @property
    def counts(self) -> dict[str, int]:
        """How many parameters are written, kept and refused."""
        seen = Counter(entry.action for entry in self.entries)
        return {action: seen[action] for action in ("write", "keep", "refuse")}

    def with_warnings(self, warnings: tuple[str, ...]) -> Plan:
        """The plan with these warnings after its own."""
        return replace(self, warnings=(*self.warnings, *warnings)) if warnings else self

    def explain(self, name: str) -> str:
        """Why `name` gets its law: the formula, the fans and the gain that went in, the derivation and its source.

        Raises:
            InputError: no such parameter (with the nearest names).
        """
        return _explanation(self[name])


def _explanation(entry: PlanEntry) -> str:
    """The whole reason for one entry, as text."""
    shape = "×".join(map(str, entry.shape)) or "scalar"
    lines = [f"{clean(entry.name)} ({entry.layer or 'parameter'}, {shape}, {entry.dtype}): {entry.action}"]
    if entry.tied_to:
        lines.append("tied to: " + ", ".join(clean(name) for name in entry.tied_to))
    if entry.fans is not None:
        lines.append(f"fans: {_fans_in_words(entry)}")
    if entry.law is not None and entry.std is not None:
        lines.append(f"law: {entry.law.describe()}, std {format_number(entry.std)}")
    if entry.gain is not None:
        undone = f", which undoes a second moment of {format_number(entry.gain**-2)}" if entry.gain > 0 else ""
        lines.append(f"gain: {format_number(entry.gain)}{undone}")
    if entry.measured is not None:
        second, target = (format_number(number) for number in entry.measured)
        lines.append(f"measured: its output has second moment {second} with the derived std, and is to have {target}")
        if entry.predicted is not None:
            off = abs(entry.measured[0] / entry.predicted - 1)
            apart = f", {off:.0%} off" if off > MISSED else ""
            lines.append(f"derived: rules say {format_number(entry.predicted)}{apart}")
    if entry.correction != 1 and entry.std is not None:
        derived = format_number(entry.std / entry.correction)
        lines.append(f"corrected: the derived std {derived}, times {format_number(entry.correction)}")
    lines.append(f"reason: {clean(entry.reason, 2000)}")
    if entry.recipe is not None:
        lines.append(f"scheme: {entry.scheme}")
        lines.append(f"formula: {entry.recipe.formula}")
        lines.append(f"why: {entry.recipe.why}")
        lines.append(f"source: {entry.recipe.source} ({entry.recipe.year})")
    return "\n".join(lines)


def _fans_in_words(entry: PlanEntry) -> str:
    assert entry.fans is not None
    text = f"fan_in {fan_text(entry.fans.fan_in)}, fan_out {fan_text(entry.fans.fan_out)}"
    geometry = entry.geometry
    if geometry is None:
        return text
    if geometry.packing is not None:
        packed = geometry.packing
        names = f" ({', '.join(packed.labels)})" if packed.labels else ""
        text += f" in each of {len(packed.sizes)} packed blocks{names}"
    if geometry.groups > 1:
        text += f", {geometry.groups} groups"
    return text


def fan_text(number: float) -> str:
    """A fan as it is shown: strided convolutions have averages, which are no whole numbers."""
    return f"{int(number)}" if float(number).is_integer() else format_number(number)


def owners(entries: Iterable[PlanEntry]) -> dict[str, str]:
    """Every canonical name, tied ones too -> the name of its entry."""
    return {name: entry.name for entry in entries for name in (entry.name, *entry.tied_to)}
