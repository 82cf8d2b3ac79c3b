"""Units with equal weights and equal gradients stay equal: the layer is as wide as its distinct units.

Where biases of their own part units of equal weights, they do not stay equal, but start as one direction of the input.
"""

from __future__ import annotations

import torch

from initlab.inspection.advice import random_advice, would_draw
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.outputs import parts
from initlab.inspection.remedy import Remedy, drawn_again
from initlab.inspection.results import Finding, ParameterStats
from initlab.inspection.updates import units_first
from initlab.reporting import counted
from initlab.reporting.status import Severity
from initlab.schemes import get_scheme

MERGED = 0.1  # share of a layer's units that are distinct, under which it counts as symmetric


def find(e: Evidence) -> Finding | None:
    hidden = [p for p in e.matrices if p.distinct is not None and (p.units or 0) > 1 and not _a_factor(e, p)]
    merged = [p for p in hidden if _merged(e, p)]
    if not merged:
        return _one_direction(e, hidden)
    p = merged[0]
    severity: Severity = "warning" if e.bypassed else "error"
    many = f"{len(merged)} of {len(hidden)} weight matrices; " if len(merged) > 1 else ""
    evidence = f"{many}its {p.units} units have {counted(p.distinct or 0, 'distinct set')} of weights"
    advice = random_advice(e, p)
    return Finding("symmetric", severity, p.name, evidence + " and gradients, so they stay equal", advice)


def _a_factor(e: Evidence, p: ParameterStats) -> bool:
    """Whether it is a factor beside the units' weights, which a call reads too, and may begin as one number.

    One number a unit, such as the gains (units, 1, 1, 1) of a standardised convolution, or the scales of noise that is
    added to weights of its own shape.
    """
    if p.layer is None:
        return False
    names = e.layers[p.layer].parameters
    beside = [q for q in e.parameters if q.name in names and q.name != p.name and q.shape[:1] == p.shape[:1]]
    if sum(size > 1 for size in p.shape) > 1:
        return any(q.shape == p.shape and (q.distinct or 0) > _few(q) for q in beside)
    return any(sum(size > 1 for size in q.shape) > 1 for q in beside)


def _one_direction(e: Evidence, hidden: list[ParameterStats]) -> Finding | None:
    """Units whose weights are equal and whose biases alone set them apart."""
    found = [(p, count) for p, rows in _alike(e, hidden) if (count := len(torch.unique(rows, dim=0))) <= _few(p)]
    if not found:
        return None
    p, count = found[0]
    many = f"{len(found)} of {len(hidden)} weight matrices; " if len(found) > 1 else ""
    evidence = f"{many}its {p.units} units have {counted(count, 'distinct set')} of weights"
    return Finding("symmetric", "warning", p.name, evidence + "; only their biases set them apart", random_advice(e, p))


def _alike(e: Evidence, hidden: list[ParameterStats]) -> list[tuple[ParameterStats, torch.Tensor]]:
    """Matrices whose units begin with the same few weights and have biases of their own, and their rows.

    The device is waited for once, however many matrices there are; again only for those that begin alike.
    """
    own = [(p, rows) for p in hidden if (rows := _rows(e, p)) is not None]
    if not own:
        return []
    changes = [(rows[:, 0].sort().values.diff() != 0).sum().to(own[0][1].device) for _, rows in own]
    begun = zip(own, torch.stack(changes).tolist(), strict=True)
    return [(p, rows) for (p, rows), parts in begun if parts + 1 <= _few(p) and _parted_by_bias(e, p)]


def _rows(e: Evidence, p: ParameterStats) -> torch.Tensor | None:
    """The weights of each unit of a matrix; None where equal ones are no fault.

    Units that each read inputs of their own (groups), or one number, may have equal weights; so may a read-out's.
    """
    if p.name in e.readout_parameters or p.rms == 0 or p.layer is None:
        return None
    owner = e.model.get_submodule(p.name.rpartition(".")[0])
    if getattr(owner, "groups", 1 if len(p.shape) == 2 else None) != 1:
        return None
    weight = e.model.get_parameter(p.name).detach()
    rows = parts(units_first(weight, e.layers[p.layer].kind)).flatten(1)
    return rows if rows.shape[1] > 1 else None


def _merged(e: Evidence, p: ParameterStats) -> bool:
    if _stuck(e, p):
        return True
    if (p.distinct or 0) > _few(p) or _waiting(e, p) or _parted_by_bias(e, p):
        return False
    return not (p.name in e.readout_parameters and p.rms == 0)


def _few(p: ParameterStats) -> float:
    return max(1.0, MERGED * (p.units or 0))


def _waiting(e: Evidence, p: ParameterStats) -> bool:
    """A weight of zeros whose rows will part at the next step: its gradient is what sets them apart, or is yet to come.

    Zero rows with zero gradients are symmetric only if nothing downstream is about to open: a zero read-out, or a
    zero branch, lets the gradient through after one step.
    """
    if p.rms != 0:
        return False
    return p.distinct != 1 if (p.grad_rms or 0.0) > 0 else _behind_a_closed_read_out(e, p)


def _stuck(e: Evidence, p: ParameterStats) -> bool:
    """Whether it is zero, reads a signal and gets no gradient, and no gate that could let one through opens."""
    return p.rms == 0 and p.grad_rms == 0 and _reads(e, p) and not e.closed


def _reads(e: Evidence, p: ParameterStats) -> bool:
    """Whether a signal arrives at it."""
    return any(r.input_second for r in e.seen.records if p.name in r.parameters)


def _behind_a_closed_read_out(e: Evidence, p: ParameterStats) -> bool:
    """Whether the read-out is zero and about to open, and a signal arrives at `p` for the gradient to part it by."""
    return _reads(e, p) and any(closed.name in e.readout_parameters for closed in e.closed)


def _parted_by_bias(e: Evidence, p: ParameterStats) -> bool:
    """Whether units with equal weights have biases of their own, so that they put out different values."""
    values = e.values
    names = e.layers[p.layer].parameters if p.layer is not None else ()
    biases = [parts(values[name].detach()) for name in names if values[name].ndim == 1]
    return any(len(torch.unique(bias, dim=0)) > _few(p) for bias in biases)


def remedy(e: Evidence, finding: Finding) -> Remedy | None:
    """Zeros that `plan` keeps, as a gate's, drawn as other weights in their place would be; else the whole plan."""
    laws = {p.name: would_draw(e, p) for p in e.matrices if p.rms == 0 and _stuck(e, p)}
    kept = {name: get_scheme("normal", std=std) for name, (std, asked) in laws.items() if asked and std}
    return drawn_again(kept, f"Draw {', '.join(kept)} at random") if kept else None


FINDING = Kind(find, remedy=remedy)
