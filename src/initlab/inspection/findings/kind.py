"""What one kind of finding is to the rest of the house, and a cure that several kinds share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from initlab.inspection.evidence import Evidence
from initlab.inspection.remedy import Remedy
from initlab.inspection.results import Finding


@dataclass(frozen=True)
class Kind:
    """One kind of finding, or one case of a kind whose cases are cured in different ways.

    Attributes:
        find: the finding with its evidence and advice, or None where it does not apply.
        spoils: where it applies, the numbers that most other kinds read mean nothing.
        survives: it can be told from spoiled numbers too.
        leads: it is a cause: where it does harm, what the other kinds see are its symptoms.
        yields: a cause that is left out where another does harm.
        remedy: what cures it; None where the plan of the whole model does.
    """

    find: Callable[[Evidence], Finding | None]
    spoils: bool = False
    survives: bool = False
    leads: bool = False
    yields: bool = False
    remedy: Callable[[Evidence, Finding], Remedy | None] | None = None


def advised(e: Evidence, finding: Finding) -> Remedy:
    """What only the model's author can do, as the advice says."""
    return Remedy(finding.advice)
