"""The findings: one file each, in the order of `ORDER`."""

from __future__ import annotations

from importlib import import_module

from initlab.graph.once import once
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind
from initlab.inspection.results import Finding
from initlab.reporting.status import rank

# The files, each with its `FINDING`: a kind, or its cases in a tuple, of which the first that applies counts. Findings
# of equal severity are shown in this order.
ORDER = (
    "non_finite",
    "cut_off",
    "broadcast",
    "sign",
    "output_activation",
    "label_count",
    "targets",
    "inputs",
    "mask",
    "activation_constant",
    "off",
    "precision",
    "rate",
    "decay",
    "optimizer_misses",
    "unregistered",
    "frozen",
    "first_loss",
    "outlier",
    "tiny_weights",
    "offset_weights",
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


def kinds() -> tuple[tuple[Kind, ...], ...]:
    """Every kind of finding, in order, each by its cases."""
    made = (import_module(f"{__name__}.{file}").FINDING for file in ORDER)
    return tuple((one,) if isinstance(one, Kind) else one for one in made)


def findings_of(evidence: Evidence) -> tuple[Finding, ...]:
    """Every finding that applies: a cause that does harm first, then the most severe, then in order.

    Once a number is NaN or infinite, only the kinds that can be told in spite of that count.
    """
    return tuple(sorted(_led(_found(evidence)), key=lambda finding: rank(finding.severity)))


@once
def _found(evidence: Evidence) -> list[tuple[Kind, Finding]]:
    found = [case for cases in kinds() if (case := _first(cases, evidence)) is not None]
    if any(kind.spoils for kind, _ in found):
        return [(kind, finding) for kind, finding in found if kind.survives]
    return found


def _first(cases: tuple[Kind, ...], evidence: Evidence) -> tuple[Kind, Finding] | None:
    found = ((case, finding) for case in cases if (finding := case.find(evidence)) is not None)
    return next(found, None)


def kind_of(evidence: Evidence, finding: Finding) -> Kind | None:
    """The kind that made a finding of `findings_of(evidence)`."""
    kinds_of = {(found.kind, found.where): kind for kind, found in _found(evidence)}
    return kinds_of.get((finding.kind, finding.where))


def _led(found: list[tuple[Kind, Finding]]) -> list[Finding]:
    """Causes first. The first that does harm is as severe as the worst symptom, and what helps it helps them all."""
    if any(kind.leads and not kind.yields and finding.severity != "info" for kind, finding in found):
        found = [(kind, finding) for kind, finding in found if not kind.yields]
    causes = [finding for kind, finding in found if kind.leads]
    symptoms = [finding for kind, finding in found if not kind.leads]
    cause = next((finding for finding in causes if finding.severity != "info"), None)
    if cause is None:
        return [*causes, *symptoms]
    worst = min((finding.severity for finding in (cause, *symptoms)), key=rank)
    led = [finding.but(advice=lambda: _leading(cause)) for finding in symptoms]
    return [cause.but(severity=worst), *(other for other in causes if other is not cause), *led]


def _leading(cause: Finding) -> str:
    return f"Its cause is the {cause.kind} at {cause.where}: {cause.advice[0].lower()}{cause.advice[1:]}"


__all__ = ["ORDER", "Kind", "findings_of", "kind_of", "kinds"]
