"""The numbers that the verdict is read from, one entry each: its name, what it says in words, how it is measured.

All are free of units and finite or NaN (not known); logarithms are decimal and cut off within
`feature.FLOOR` and `feature.CEILING`.
They stand in four groups: of the pass or of the line, each also of the learning rate that the user gave.
"""

from __future__ import annotations

from initlab.inspection.evidence import Evidence
from initlab.inspection.features.feature import Feature
from initlab.inspection.features.of_line import OF_LINE, OF_LINE_AT_RATE
from initlab.inspection.features.of_pass import OF_PASS, OF_PASS_AT_RATE

FEATURES = (*OF_LINE, *OF_PASS, *OF_LINE_AT_RATE, *OF_PASS_AT_RATE)


def features_of(evidence: Evidence) -> dict[str, float]:
    """{name: number} of every feature."""
    return {feature.name: feature.of(evidence) for feature in FEATURES}


__all__ = [
    "FEATURES",
    "OF_LINE",
    "OF_LINE_AT_RATE",
    "OF_PASS",
    "OF_PASS_AT_RATE",
    "Feature",
    "features_of",
]
