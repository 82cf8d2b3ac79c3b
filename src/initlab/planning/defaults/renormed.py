"""Tables whose rows a look-up scales down to a largest norm, in place (`max_norm` of an embedding)."""

from __future__ import annotations

import math
from statistics import NormalDist

from torch import nn

from initlab.planning.parameters.scene import Subject


def longest_std(subject: Subject) -> float | None:
    """The std at which the rows of a table have the norm that its look-up leaves them at most; None without one."""
    most, power = _limit(subject)
    if most is None:
        return None
    width = subject.shape[-1]
    if math.isinf(power):
        return most / NormalDist().inv_cdf((1 + 2 ** (-1 / width)) / 2)  # the median of the largest of so many |z|
    moment = 2 ** (power / 2) * math.gamma((power + 1) / 2) / math.sqrt(math.pi)  # E|z|^p of a standard normal z
    return most / math.pow(width * moment, 1 / power)


def _limit(subject: Subject) -> tuple[float | None, float]:
    """The largest norm of a row and the norm's power, as the look-up in the recording gives them, or the layer."""
    for use in subject.uses:
        given = use.operation.attributes
        if use.operation.kind.startswith("embedding") and given.get("max_norm") is not None:
            return float(given["max_norm"]), float(given.get("norm_type", 2.0))
    if isinstance(subject.module, nn.Embedding | nn.EmbeddingBag) and subject.module.max_norm is not None:
        return float(subject.module.max_norm), float(subject.module.norm_type)
    return None, 2.0
