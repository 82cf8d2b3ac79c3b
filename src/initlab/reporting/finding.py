"""A finding: one thing that is wrong with a model's start, or worth knowing, as every result lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

from initlab.reporting.blocks import Callout
from initlab.reporting.status import Severity
from initlab.reporting.words import clean

Later: TypeAlias = Callable[[], str]  # what makes a text


class _Text:
    """A field whose words are put together when they are first read: they may cost as much as what they speak of."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, holder: None, owner: type) -> Any: ...
    @overload
    def __get__(self, holder: object, owner: type) -> str: ...
    def __get__(self, holder: Any, owner: type) -> Any:
        if holder is None:
            raise AttributeError(self._name)  # a field without a default
        words = holder.__dict__[self._name]
        if not isinstance(words, str):
            words = holder.__dict__[self._name] = words()
        return words

    def __set__(self, holder: Any, words: str | Later) -> None:
        holder.__dict__[self._name] = words


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: what is wrong, in the field's word: a cause (inputs, mask, targets, broadcast, loss sign, output
            activation, label count, cut off, mode, residuals, copies, activation constant, precision, rate, weight
            decay, optimizer, unregistered, frozen, bias, norm weight, norm bias, scale, factor, first loss, outlier,
            tiny weights, offset weights) or a symptom (vanishing, exploding, saturated, dead, symmetric, collapsed,
            unbalanced, non-finite); of an audit, one of `planning.audit.findings.KINDS`.
        severity: "error" (training is predicted to fail), "warning" (to be slow or unsteady), "info" (a symptom that
            training is predicted to get over).
        where: name of the layer or parameter where it starts.
        evidence: the numbers.
        advice: what to do; where weights are to be drawn again, with the std that `plan` gives them: the plan is made
            when the advice is first read.
    """

    kind: str
    severity: Severity
    where: str
    evidence: str
    advice: _Text = _Text()

    def but(self, **changes: Any) -> Finding:
        """The finding with other fields; advice that nobody has read stays unread."""
        return Finding(**{**self.__dict__, **changes})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "advice": self.advice}

    def __str__(self) -> str:
        return f"{self.kind} at {self.where}: {self.evidence}. {self.advice}"


def callout(finding: Finding, of: str = "") -> Callout:
    """The finding as a page shows it: its kind and place, then its evidence and advice as sentences.

    Args:
        finding: what was found.
        of: what it was found in, where a page shows the findings of several.
    """
    title = f"{finding.kind} at {clean(finding.where)}"
    sentences = [text[:1].upper() + text[1:] for text in (clean(finding.evidence, 600), clean(finding.advice, 600))]
    body = " ".join(text if text.endswith(".") else f"{text}." for text in sentences if text)
    return Callout(finding.severity, f"{clean(of)}: {title}" if of else title, body)
