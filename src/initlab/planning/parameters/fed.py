"""What arrives at a weight, and the gain that undoes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from initlab.graph import Feed, Use
from initlab.planning.reason import Reason
from initlab.theory import gain as gain_of


@dataclass(frozen=True)
class Fed:
    """What arrives at a weight: the gain that undoes it, and where that was read."""

    gain: float
    reason: Reason


def fed_by_uses(uses: list[Use]) -> Fed:
    """What arrives at a weight where the recording has it."""
    feeds = [use.feeds for use in uses if use.feeds is not None]
    feed = feeds[0]
    where = f" at {feed.where}" if feed.where else ""
    note = f" ({feed.note})" if feed.note else ""
    moments = second_moments(uses)
    if uses[0].scaled != 1.0:
        note += f", used times {math.sqrt(uses[0].scaled):.4g}"
    if not moments:
        what, one = feed.activation or "an unknown signal", 1 / math.sqrt(uses[0].scaled)
        words = f"gain {one:.4g}: fed by {what}{where}, whose size is not known{note}"
        return Fed(one, Reason("fed_by_unknown", words))
    if feed.activation == "softmax":
        return Fed(1.0, Reason("fed_by_softmax", f"gain 1: fed by softmax{where}, whose shares it mixes"))
    gain = 1 / math.sqrt(sum(moments) / len(moments))
    shared = f" and {len(feeds) - 1} more" if len(feeds) > 1 else ""
    return Fed(gain, Reason("fed", f"gain {gain:.4g}: fed by {feed.activation or 'the data'}{where}{shared}{note}"))


def second_moments(uses: Iterable[Use]) -> list[float]:
    """E[x²] of what arrives at each use where it is known, times that of the numbers that the weight comes with."""
    found = [(_moment(use.feeds), use.scaled) for use in uses if use.feeds is not None]
    return [moment * scaled for moment, scaled in found if moment is not None]


def _moment(feed: Feed) -> float | None:
    """E[φ(z)²] of what arrives, as recorded or from the function itself."""
    if feed.second_moment is not None:
        return float(feed.second_moment) if feed.second_moment > 0 and math.isfinite(feed.second_moment) else None
    if feed.function is not None:
        return function_moment(feed.function)
    return None


def function_moment(function: Callable[..., Any]) -> float | None:
    """E[φ(z)²] of a function of a standard Gaussian; None where theory cannot take it."""
    try:
        with torch.device("cpu"):
            gain = gain_of(function)
    except (ValueError, TypeError, RuntimeError):
        return None
    return 1 / gain**2 if gain > 0 and math.isfinite(gain) else None
