"""A deep stack of residual sums whose branches are not scaled: the stream grows with every block."""

from __future__ import annotations

import math

from initlab.inspection.events import Sum
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.results import Finding

DEEP = 8  # residual sums from which a stack counts as deep
GROWN = 10.0  # rms of the last sum over that of the first, from which the stream has grown
DOUBLES = 1.25  # growth of the rms a sum, from which it is a growth by a factor and not by a sum


def find(e: Evidence) -> Finding | None:
    stream = _stream(e)
    if len(stream) < DEEP:
        return None
    first, last = stream[0], stream[-1]
    if not 0 < first.second_moment < math.inf or _normed(e, last):
        return None
    growth = math.sqrt(last.second_moment / first.second_moment) if last.second_moment < math.inf else math.inf
    if growth < GROWN:
        return None
    rate = growth ** (1 / (len(stream) - 1)) if growth < math.inf else math.inf
    evidence = f"over {len(stream)} residual sums without a norm behind them the stream's rms grows {growth:.3g} times"
    if rate > DOUBLES:
        evidence += f", {rate:.2f} times a sum"
    advice = f"Scale each branch by 1/sqrt({len(stream)}), or start the last weight of each branch at zero"
    return Finding("residuals", "warning", first.module or e.layers[max(0, first.branch)].name, evidence, advice)


def _stream(e: Evidence) -> list[Sum]:
    """The longest run of residual sums in which each takes up the last one's result."""
    best: list[Sum] = []
    run: list[Sum] = []
    for item in e.seen.events.sums:
        if item.branch <= item.stream or item.second_moment == 0:
            continue
        run = [*run, item] if run and _follows(e, item, run[-1]) else [item]
        best = run if len(run) > len(best) else best
    return best


def _follows(e: Evidence, item: Sum, last: Sum) -> bool:
    """Whether the stream of `item` is what `last` summed, as it is or after an activation function."""
    if item.stream == last.branch:
        return True
    between = e.seen.records[item.stream] if item.stream >= 0 else None
    return between is not None and between.activation and between.origin == last.branch


def _normed(e: Evidence, last: Sum) -> bool:
    """Whether what comes after the last sum is normalized before it is read out."""
    return any(r.norm for r in e.seen.records[last.branch + 1 :])


FINDING = Kind(find, survives=True, leads=True)
