"""Which tone a status word has, and how severe a finding is."""

from __future__ import annotations

from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "info"]
# The mark of each in a line of text; most severe first.
SEVERITIES: dict[Severity, str] = {"error": "✗", "warning": "!", "info": "·"}

_GOOD = frozenset(("healthy", "confirmed", "good", "yes", "converged", "trained", "trains", "learned", "learns"))
_WARN = frozenset(("slow", "slowly", "inconclusive", "warning", "kept", "keep", "pruned", "stopped"))
_BAD = frozenset(("untrainable", "refuted", "error", "refuse", "refused", "diverged", "failed", "stuck", "dead"))


def tone_of(word: object) -> str:
    """The tone of a status word: "good", "warning", "error", or "neutral" for a word without one.

    >>> tone_of("healthy"), tone_of("Untrainable"), tone_of("maybe")
    ('good', 'error', 'neutral')
    """
    first = str(word).strip().split(" ")[0].strip(":,;").lower()
    return "good" if first in _GOOD else "warning" if first in _WARN else "error" if first in _BAD else "neutral"


def rank(severity: Severity) -> int:
    """0 for the most severe, for sorting.

    >>> rank("error") < rank("info")
    True
    """
    return list(SEVERITIES).index(severity)
