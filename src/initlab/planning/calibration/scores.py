"""Attention scores: no larger than of unit variance, whatever stands between them and the softmax."""

from __future__ import annotations

import math
from typing import Any

import torch

from initlab.planning.calibration.found import rounded
from initlab.planning.calibration.measuring import misses, second_moment
from initlab.planning.calibration.stand_ins import StandIns
from initlab.planning.sizes.targets import Targets


class Scores:
    """The attention scores of one pass; the weights of queries are corrected where scores are too large."""

    def __init__(self, targets: Targets, drawn: StandIns) -> None:
        self.targets, self.drawn = targets, drawn

    def fused(self, args: tuple[Any, ...], scale: float) -> torch.Tensor:
        """The queries that a fused attention is to read.

        Args:
            args: its queries and keys first.
            scale: what it multiplies their products by.
        """
        queries, keys = args[:2]
        names = self.drawn.marks.get(queries).names
        sample = queries[:1, : keys.shape[1]] @ keys[:1].transpose(-2, -1)
        scaled: torch.Tensor = queries * self._to_unit(names, sample, scale)
        self.drawn.marks.set(scaled, names)
        return scaled

    def made(self, names: frozenset[str], scores: Any) -> Any:
        """The products of two signals as they are to go on: those of queries, which these weights make, and keys."""
        found = {self.targets.queries.get(name) for name in names}
        queries = found.pop() if len(found) == 1 else None
        return scores if queries is None else scores * self._to_unit(names, scores, queries.constant)

    def _to_unit(self, names: frozenset[str], scores: torch.Tensor, scale: float | None) -> float:
        """What brings the scores that queries make to second moment one; 1 where they are no larger."""
        second = second_moment(scores)
        if not names or scale is None or second is None or not all(map(self.drawn.free, names)):
            return 1.0
        if names & self.targets.normed:  # a norm gives queries their size, whatever the weight's
            return 1.0
        second *= scale**2
        heads = scores.shape[-3] if scores.dim() > 2 else 1
        found = self.drawn.found.scores
        if names & found.keys() or second <= 1 or not misses(second, heads):
            return 1.0
        factor = rounded(1 / math.sqrt(second))
        self.drawn.scale(names, factor)
        found |= dict.fromkeys(names, second)
        return factor
