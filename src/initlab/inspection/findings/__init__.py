"""The findings: one file each, in the order of `ORDER`."""

from __future__ import annotations

from importlib import import_module

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.results import Finding
from initlab.reporting.status import rank

# The files, each with its `FINDING`; findings of equal severity are shown in this order.
ORDER = (
    "non_finite",
    "cut_off",
    "broadcast",
    "output_activation",
    "label_count",
    "targets",
    "inputs",
    "mode",
    "residuals",
    "copies",
    "symmetric",
    "collapsed",
    "dead",
    "saturated",
    "vanishing",
    "exploding",
    "unbalanced",
)


def kinds() -> tuple[Kind, ...]:
    """Every kind of finding, in order."""
    return tuple(import_module(f"{__name__}.{file}").FINDING for file in ORDER)


def findings_of(evidence: Evidence) -> tuple[Finding, ...]:
    """Every finding that applies, most severe first, then in order.

    Once a number is NaN or infinite, only the kinds that can be told in spite of that count.
    """
    found = [(kind, finding) for kind in kinds() if (finding := kind.find(evidence)) is not None]
    if any(kind.spoils for kind, _ in found):
        found = [(kind, finding) for kind, finding in found if kind.survives]
    return tuple(sorted((finding for _, finding in found), key=lambda finding: rank(finding.severity)))


__all__ = ["ORDER", "Kind", "findings_of", "kinds"]
