"""Vectors and scalars that start far from where they do nothing: biases, norm weights, scales, numbers in the code."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from initlab.graph.once import once
from initlab.graph.operations import TABLE
from initlab.guest.doubles import doubled
from initlab.inspection.advice import multiplying, passed_on
from initlab.inspection.evidence import Evidence
from initlab.inspection.line import STILL
from initlab.inspection.results import ParameterStats
from initlab.inspection.trials import Change, Trial, tried
from initlab.sampling import canonical_name

Tensor = torch.Tensor

BIAS = 2.0  # rms of a bias from which it is looked at
OVER = 3.0  # rms of a bias over the standard deviation of what it is added to, from which it drowns that
NORM = 4.0  # factor between a norm weight's rms and the 1 that it usually is, in either direction
VARIED = 0.1  # standard deviation of a norm weight over its mean, from which it was not set to one number
MOST = 4  # different numbers in the code that are tried
SCALAR = 5.0  # the same for a single number, learned or in the code
MUCH = 0.1  # decrease of the lowest loss from which a number that its author chose is the cause
ALONE = 10.0  # what a weight passes on over what the median weight does, from which it stands alone
AS_MUCH = 0.05  # by how much less a change may lower the loss and do as much


@dataclass(frozen=True)
class Suspect:
    """Parameters of one role, or a number in the code, that may be the cause.

    Attributes:
        role: "bias", "norm weight", "norm bias", "scale" (a single learned number) or "factor" (one in the code).
        where: the first of them.
        count: how many there are.
        rms: of the first.
        trial: what came of the usual value in their place.
        usual: that value.
    """

    role: str
    where: str
    count: int
    rms: float
    usual: float
    trial: Trial


@once
def suspects(e: Evidence) -> tuple[Suspect, ...]:
    """Those whose usual value does no harm, the most helpful first; tried once for all findings.

    Where none lowers the loss along the first step, those that get layers out of saturation come first.
    """
    found = [*_parameters(e), *_factors(e)]
    return tuple(sorted(found, key=lambda s: (not s.trial.helps and not s.trial.relieves, -s.trial.gain)))


def _parameters(e: Evidence) -> Iterator[Suspect]:
    values = e.values
    groups: dict[str, list[tuple[ParameterStats, float]]] = {}
    for p in e.parameters:
        role = _role(e, p, values[p.name])
        usual = _usual(e, p, role) if role else None
        if role and usual is not None:
            groups.setdefault(role, []).append((p, usual))
    for role, members in groups.items():
        first, usual = members[0]
        changed = {p.name: torch.full_like(values[p.name].detach(), value) for p, value in members}
        trial = tried(e, Change(f"{first.name} at {usual:g}", changed))
        if trial is not None and not trial.harms and (_clearly(e, trial) or not _meant(e, first)):
            yield Suspect(role, first.name, len(members), first.rms, usual, trial)


def _clearly(e: Evidence, trial: Trial) -> bool:
    """Whether a value that its author may have chosen is the cause, and not the price of what it is there for.

    A gate that begins nearly closed and a prior of rare classes cost a little in a network that trains.
    """
    return trial.helps and (trial.opens or trial.relieves or (trial.gain > MUCH and _ill(e) and not _outdone(e, trial)))


def _meant(e: Evidence, p: ParameterStats) -> bool:
    """Whether the value may be its author's own: zero, or one that plan keeps."""
    return p.rms == 0 or (e.plan is not None and e.plan[canonical_name(p.name)].action == "keep")


def _role(e: Evidence, p: ParameterStats, value: Tensor) -> str:
    """What kind of suspect a parameter is by its size; "" for none."""
    if not p.trainable or p.layer is None or value.ndim > 1 or not math.isfinite(p.rms):
        return ""
    part = _norm_part(e, p)
    if p.rms == 0:
        return part if part == "norm weight" and p.grad_rms == 0 else ""
    if part == "norm bias":
        return part if p.rms > BIAS else ""
    if part:
        return part if not 1 / NORM < p.rms < NORM and not _varied(value) else ""
    if value.numel() == 1 and p.name not in e.biases:
        return "scale" if not 1 / SCALAR < p.rms < SCALAR else ""
    return "bias" if p.name in e.biases and p.rms > BIAS and _drowns(e, p) else ""


def _varied(weight: Tensor) -> bool:
    """Whether a norm's weight varies about a mean of its own: it was trained, or drawn so, and not set to a number."""
    mean, std = float(doubled(weight.detach()).mean()), float(doubled(weight.detach()).std(correction=0))
    return std > VARIED * abs(mean) and abs(mean) > 0.5 * math.hypot(mean, std)


def _drowns(e: Evidence, p: ParameterStats) -> bool:
    """Whether a bias is far larger than what differs in the signal that it is added to."""
    assert p.layer is not None
    layer = e.layers[p.layer]
    share = layer.row_share if layer.row_share is not None else layer.between
    if share is None or TABLE.named(layer.kind).recurrent:
        return False
    return p.rms > OVER * math.sqrt(max(0.0, layer.second_moment * share))


def _norm_part(e: Evidence, p: ParameterStats) -> str:
    """What a parameter is to a norm: by the call that reads it; of a norm that is written out, as `plan` tells.

    The plan is asked for what may be a suspect alone.
    """
    assert p.layer is not None
    record = e.seen.records[p.layer]
    if record.norm:
        return "norm weight" if p.name == record.scale else "norm bias"
    usual = p.rms <= BIAS and (p.name in e.biases or p.rms > 1 / NORM)
    if usual or e.plan is None:
        return ""
    role = e.plan[canonical_name(p.name)].role
    return role.replace("_", " ") if role in ("norm_weight", "norm_bias") else ""


def _usual(e: Evidence, p: ParameterStats, role: str) -> float | None:
    """The value that `plan` gives the parameter, where that is one number and not its own; without a plan 1 or 0.

    Of a bias that plan draws it is the middle of the draws.
    """
    if e.plan is None:
        return 0.0 if role.endswith("bias") else 1.0
    entry = e.plan[canonical_name(p.name)]
    if entry.action == "keep" and role in ("scale", "bias"):
        return 1.0 if role == "scale" else 0.0
    if entry.action == "write" and entry.std and role == "bias":
        return 0.0
    if entry.action != "write" or entry.law is None or entry.std:
        return None
    value = float(getattr(entry.law, "value", 0.0))
    return None if abs(value - p.rms) < 0.05 or (value == 0 and p.rms < NORM and role == "norm weight") else value


def _factors(e: Evidence) -> Iterator[Suspect]:
    """Numbers in the code that multiply a signal on its way, where taking them away helps much.

    A score over the root of its width, or a branch's scale, is its author's: with it at 1 a loss that is high for
    another reason may fall a little.
    """
    values = {f.value: f for f in e.seen.events.factors if f.origin >= 0 and f.value and _far(abs(f.value))}
    if not values or len(values) > MOST or not _ill(e):
        return
    for value, factor in values.items():
        trial = tried(e, Change(f"the factor {value:g} taken as 1", factor=value))
        if trial is None or _outdone(e, trial):
            continue
        if trial.gain > MUCH or (trial.helps and (trial.opens or _still(e))):
            where = factor.module or e.layers[factor.origin].name
            yield Suspect("factor", where, 1, abs(value), 1.0, trial)


def _outdone(e: Evidence, trial: Trial) -> bool:
    """Whether a weight that is far larger than all others does the harm: with it at their size as much is won."""
    larger = _as_large_as_the_others(e)
    return larger is not None and larger.gain > trial.gain - AS_MUCH


@once
def _as_large_as_the_others(e: Evidence) -> Trial | None:
    """The weight that passes on far more than the median one, by its size alone, made as large; None without one."""
    weights = [p for p in multiplying(e) if p.units]
    sizes = passed_on(e)
    usual = statistics.median(sizes) if sizes else 0.0
    if not 0 < ALONE * usual < max(sizes, default=0.0):
        return None
    p = weights[sizes.index(max(sizes))]
    value = e.values[p.name].detach() * (usual / max(sizes))
    return tried(e, Change(f"{p.name} as large as the others", {p.name: value}))


def _still(e: Evidence) -> bool:
    """Whether no rate lowers the loss by what can be seen: a factor that hides the signal does no other harm."""
    return e.line is not None and e.line.decrease(e.line.lowest) < STILL


def _ill(e: Evidence) -> bool:
    """Whether anything is wrong that such a number could explain."""
    return _still(e) or (e.outlook.excess or 1.0) > 2.0 or e.outlook.steps > 300 or not math.isfinite(e.seen.loss)


def _far(value: float) -> bool:
    return not 1 / SCALAR < value < SCALAR
