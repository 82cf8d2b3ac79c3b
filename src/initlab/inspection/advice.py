"""What to do about a finding, in words. What a weight should be drawn from is what `plan` says of it.

The plan costs two passes more, so it is made, and the words with it, when the advice is read. Where the model was
written by then, the plan is one of the weights as they are, and the advice says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import torch

from initlab.graph.once import once
from initlab.graph.operations import TABLE
from initlab.guest.swapped import swapped
from initlab.inspection.evidence import Evidence
from initlab.inspection.results import ParameterStats
from initlab.planning import PlanEntry, plan
from initlab.reporting import format_number
from initlab.reporting.finding import Later
from initlab.sampling import canonical_name

FAR = 0.3  # log of rms over the plan's std from which a weight is off, and share of weights that must be
UNPLANNED = "This model cannot be planned: give each weight the variance gain² / fan_in, for the function before it"
NOW = "; by a plan of the weights as they are now"

Given = ParamSpec("Given")


def later(words: Callable[Concatenate[Evidence, Given], str]) -> Callable[Concatenate[Evidence, Given], Later]:
    """Words that are put together when they are first read."""

    def waiting(e: Evidence, /, *given: Given.args, **named: Given.kwargs) -> Later:
        then = e.written()

        def put() -> str:
            same = "plan" in vars(e) or e.written() == then
            return words(e, *given, **named) + ("" if same or e.plan is None else NOW)

        return put

    return waiting


@later
def advice(e: Evidence, otherwise: str = "", *, at: int | None = None) -> str:
    """The weight furthest from its plan, and its plan; `otherwise` when the weights have the plan's scale already.

    `at` is the index of the layer whose signal is amiss, where it is one: what stands behind it cannot be why.
    """
    return _scaled(e, otherwise, at)


def _scaled(e: Evidence, otherwise: str = "", at: int | None = None) -> str:
    if e.plan is None:
        return UNPLANNED
    furthest = _furthest(e) if at is None else _before(e, at)
    if furthest is None:
        return otherwise or "The scale of the weights is right already: add normalization or skip connections"
    p, entry = furthest
    return f"Draw {p.name} {_law(entry)}; now its rms is {p.rms:.2g}"


@later
def scale_advice(e: Evidence) -> str:
    """What helps when signals grow."""
    words = _scaled(e, f"Lower the learning rate ({e.step.lr:g}) or warm it up, or add normalization")
    if len(e.layers) > 30 and not e.normalised:
        return words + "; in a deep residual net, scale the branches by 1/sqrt(depth) or start them at zero"
    return words


@later
def random_advice(e: Evidence, p: ParameterStats) -> str:
    """What helps when the units of `p` are equal."""
    only = "Only random weights break the symmetry"
    if e.plan is None:
        return f"{only}. {UNPLANNED}"
    entry = drawn(e, p)
    if entry is not None:
        return f"{only}: draw {p.name} {_law(entry)}"
    std, kept = would_draw(e, p)
    if not kept or not std:
        return f"{only}: plan does not draw {p.name}, so name a scheme for it in the policy"
    return f"{only}: draw {p.name} with std {format_number(std, 3)}; plan keeps zeros, which may be its author's own"


@later
def fading_advice(e: Evidence, *, at: int | None = None) -> str:
    """What helps when the scale is right already and signals fade all the same; `at` as of `advice`."""
    if e.nonlinearity in ("sigmoid", "hardsigmoid"):
        return _scaled(e, "No scheme carries signals through a deep stack of sigmoids: use tanh or relu", at) + (
            "; in a deep stack use tanh or relu instead of sigmoid, or add normalization"
        )
    if not e.step.sign_like:
        return _scaled(e, f"Use a larger learning rate than {e.step.lr:g}, or adamw, or add normalization", at)
    return _scaled(e, at=at)


def _law(entry: PlanEntry) -> str:
    """The law that the plan gives, with its reason."""
    return f"with std {format_number(entry.std, 3)}, as plan does ({entry.scheme}, {entry.reason})"


def drawn(e: Evidence, p: ParameterStats) -> PlanEntry | None:
    """The plan's entry for `p` where that draws random values; None where it keeps, refuses or fills."""
    name = canonical_name(p.name)
    if e.plan is None or name not in e.plan:
        return None
    entry = e.plan[name]
    return entry if entry.action == "write" and entry.std else None


def planned_stds(e: Evidence) -> list[tuple[ParameterStats, float]]:
    """The weights that multiply a signal, each with the std that its plan draws it with."""
    return [(p, entry.std) for p in multiplying(e) if (entry := drawn(e, p)) is not None and entry.std]


def passed_on(e: Evidence) -> list[float]:
    """rms of what each of those weights makes of numbers of rms one, by its size alone."""
    return [p.rms * math.sqrt(math.prod(p.shape) / p.units) for p in multiplying(e) if p.units]


def multiplying(e: Evidence) -> list[ParameterStats]:
    """Of a table each row stands for itself."""
    return [p for p in e.matrices if p.layer is not None and not TABLE.named(e.layers[p.layer].kind).rows]


def would_draw(e: Evidence, p: ParameterStats) -> tuple[float | None, bool]:
    """(the std that `plan` gives `p`, or would give random values in its place; whether it keeps the zeros there)."""
    entry = drawn(e, p)
    if entry is not None or e.plan is None or p.rms != 0 or e.plan[canonical_name(p.name)].action != "keep":
        return (None if entry is None else entry.std), False
    return _std_in_place_of_zeros(e, p.name), True


@once
def _std_in_place_of_zeros(e: Evidence, name: str) -> float | None:
    """The std that `plan` gives a parameter of zeros once it holds random values; None where it keeps those too."""
    value = e.model.get_parameter(name)
    random = torch.randn(value.shape, generator=torch.Generator().manual_seed(0), device="cpu").to(value)
    with swapped(e.model, {name: random}):
        found = plan(e.model, e.inputs)[canonical_name(name)]
    return found.std if found.action == "write" else None


def _furthest(e: Evidence) -> tuple[ParameterStats, PlanEntry] | None:
    """The weight whose rms is furthest from its plan's std, with its entry; None when most are within a third."""
    found = _apart(e)
    off = [item for item in found if item[0] > FAR]
    if not off or len(off) < FAR * len(found):
        return None
    return max(off, key=lambda item: item[0])[1:]


def _before(e: Evidence, at: int) -> tuple[ParameterStats, PlanEntry] | None:
    """The same of the weights that a layer's signal comes through: those since the last norm, which sizes what it
    gives, and where none of these is off all that stand before.
    """
    norm = max((r.index for r in e.seen.records[:at] if r.norm), default=-1)
    for first in (norm + 1, 0):
        off = [i for i in _apart(e) if i[0] > FAR and i[1].layer is not None and first <= i[1].layer <= at]
        if off:
            return max(off, key=lambda item: item[0])[1:]
    return None


def _apart(e: Evidence) -> list[tuple[float, ParameterStats, PlanEntry]]:
    """(log of rms over the plan's std, the weight, its entry) of every weight that the plan draws."""
    found = []
    for p in e.parameters:
        if p.trainable and len(p.shape) > 1 and p.layer is not None and math.isfinite(p.rms):
            entry = drawn(e, p)
            if entry is not None and entry.std:
                found.append((abs(math.log(max(p.rms, 1e-30) / entry.std)), p, entry))
    return found
