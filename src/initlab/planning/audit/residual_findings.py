"""What is wrong with the scale of residual branches: on the wrong projection, or from a wrong count of the depth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from statistics import median

from initlab.errors import listed
from initlab.planning.audit.evidence import Evidence, is_number, numberless
from initlab.planning.parameters.residual import projections
from initlab.reporting import format_number
from initlab.reporting.finding import Finding


def _scaled(evidence: Evidence) -> tuple[dict[str, float], frozenset[str], float] | None:
    """(name -> (base/std)² of weights that were scaled down, the weights that end branches, the base std)."""
    ends = projections(evidence.scene).names
    maps = [one for one in evidence.seen if one.start.role == "weight" and one.is_random and one.law.count >= 256]
    if len(ends) < 2 or len(maps) < 4:
        return None
    stds = [one.law.std for one in maps]
    alike = [[std for std in stds if abs(std / base - 1) < 0.1] for base in stds]
    usual = [near for near in alike if len(near) * 3 >= len(stds)]
    if not usual:
        return None
    base = max(sum(near) / len(near) for near in usual)
    plain = [one for one in maps if abs(one.law.std / base - 1) < 0.1]
    if sum(is_number(one.start.scheme) for one in plain) * 2 < len(plain):
        return None  # stds follow from fans: a smaller one says nothing
    families = {one.law.family for one in plain}
    ratios = {one.name: (base / one.law.std) ** 2 for one in maps if one.law.family in families}
    return {name: ratio for name, ratio in ratios.items() if ratio > 1.5}, ends, base


def wrong_projection(evidence: Evidence) -> Iterator[Finding]:
    found = _scaled(evidence)
    if found is None:
        return
    scaled, ends, base = found
    wrong = sorted(name for name in scaled if name not in ends and numberless(name) != name)
    left = sorted(name for name in ends if name not in scaled)
    places = Counter(numberless(name) for name in wrong)
    repeated = [name for name in wrong if places[numberless(name)] >= 2]
    if repeated and left:
        yield Finding(
            "residual scale", "warning", repeated[0],
            f"{len(repeated)} weights are drawn at a fraction of std {format_number(base, 3)} ({listed(repeated)}), "
            f"while {len(left)} that end residual branches are not ({listed(left)})",
            "The scale 1/√(branches) belongs to the projection that ends a branch.",
        )  # fmt: skip


def depth(evidence: Evidence) -> Iterator[Finding]:
    found = _scaled(evidence)
    if found is None:
        return
    scaled, ends, base = found
    ratios = {name: ratio for name, ratio in scaled.items() if name in ends}
    if len(ratios) < len(ends):
        return
    count, values = len(ends), list(ratios.values())
    middle = median(values)
    errors = math.sqrt(sum(2 / min(one.law.count, 65536) for one in evidence.seen if one.name in ratios)) / len(ratios)
    if max(values) / min(values) > 1.3:
        yield from _depth_by_layer(ratios)
        return
    off = [k for k in (count - 2, count - 1, count + 1, count + 2) if k > 0]
    nearest = min((count, *off), key=lambda k: abs(k / middle - 1))
    if nearest != count and abs(count / middle - 1) > max(5 * errors, 0.01) and abs(nearest / middle - 1) < 0.03:
        yield Finding(
            "depth", "warning", next(iter(ratios)),
            f"the ends of {count} branches are drawn at std {format_number(base, 3)}/√{format_number(middle, 3)}: "
            f"{nearest} branches were counted",
            f"Count the branches from one to {count}.",
        )  # fmt: skip


def _depth_by_layer(ratios: dict[str, float]) -> Iterator[Finding]:
    """Where each layer has a scale of its own, 1/√(2(i + 1)) of layer i from 0: whether i was counted from 0 or 1."""
    by_layer: dict[int, list[float]] = {}
    for name, ratio in ratios.items():
        number = next((int(part) for part in name.split(".") if part.isdigit()), None)
        if number is not None:
            by_layer.setdefault(number, []).append(ratio / 2)
    if len(by_layer) < 3:
        return
    offsets = [sum(values) / len(values) - number for number, values in by_layer.items()]
    middle = median(offsets)
    if max(offsets) - min(offsets) > 0.2 * len(by_layer) + 0.3 or abs(middle - 1) < 0.5:
        return
    yield Finding(
        "depth", "warning", next(iter(ratios)),
        f"the ends of layer i are scaled by 1/√(2(i {'+' if middle >= 0 else '−'} {abs(round(middle))})), i from 0",
        "Depth counts from one: layer i has i + 1 layers behind its end.",
    )  # fmt: skip


def depth_from_zero(evidence: Evidence) -> Iterator[Finding]:
    """A first layer whose end is not scaled, or infinite, while the second's is scaled as the first's should be."""
    found = _scaled(evidence)
    if found is None:
        return
    scaled, ends, _ = found
    left = [name for name in ends if name not in scaled]
    if not left or len(left) * 3 > len(ends):
        return
    numbers = {int(p) for name in left for p in name.split(".") if p.isdigit()}
    if numbers == {0}:
        yield Finding(
            "depth", "warning", sorted(left)[0],
            f"the first layer's ends are not scaled, while {len(ends) - len(left)} others are",
            "Depth counts from one: with a count from zero the first layer has the scale of none.",
        )  # fmt: skip
