"""`report.fix()`: the smallest change after which the inspection finds no more harm, found by making it and looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from initlab.errors import InputError
from initlab.guest.run import hosted
from initlab.guest.swapped import copies, swapped
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings import kind_of
from initlab.inspection.pasting import code_of
from initlab.inspection.remedy import Remedy, drawn_again, settings_of
from initlab.inspection.results import Inspection
from initlab.planning import Plan, init_, plan
from initlab.reporting import Callout, Code, Column, Page, Section, Shown, Table, View, block_html, clean, shows

Again = Callable[..., Inspection]  # `inspect` with the user's optimizer and rate filled in
BETTER = {"untrainable": 0, "uncertain": 1, "slow": 2, "healthy": 2}  # what is slow trains: a symptom tells why
WHOLE = "Draw every weight as plan does"


@dataclass(frozen=True, repr=False)
class Fix(Shown):
    """What to change so that training gets going, and why.

    Attributes:
        what: the changes, in the order in which they are made; empty where nothing has to change.
        why: the findings that they answer.
        code: the changes as Python that runs as pasted, on the names `model`, `inputs`, `targets`, `loss`, `lr`, and
            `optimizer` where an object was handed over whose groups change; what only its author can change stands in
            a comment, and what is to be done to each batch of a DataLoader.
        plan: what `apply` writes; None where no weight has to change.
        before: the verdict without them.
        after: the verdict with them, by an inspection of the changed model; None where nothing could be tried.
        cured: whether that inspection finds no harm any more.
    """

    what: tuple[str, ...]
    why: tuple[str, ...]
    code: str
    plan: Plan | None = field(repr=False)
    before: str
    after: str | None
    cured: bool

    def apply(self, model: nn.Module, *, seed: int = 0) -> Plan:
        """Write into `model` what weights can cure, as `init_(model, fix.plan, seed=seed)` does.

        Raises:
            InputError: no weight has to change, or the plan is not one of this model.
        """
        if self.plan is None:
            needed = "; ".join(self.what) or "nothing"
            raise InputError(f"fix.apply changes weights, and no weight has to change here; what has to: {needed}")
        return init_(model, self.plan, seed=seed)


def fix_of(e: Evidence, report: Inspection, again: Again, given: Any, *, held: bool) -> Fix:
    """Remedies of the findings, one more at a time, until an inspection with them finds no harm.

    What is no better than the start as it is is left out; what only its author can change is said.

    Args:
        e: what the report rests on.
        report: the inspection that is to be answered.
        again: inspects (model, inputs, targets, loss, lr, decay, whole) once more.
        given: the inputs as the user handed them over.
        held: whether the targets were among them.
    """
    chosen: list[Remedy] = []
    best: tuple[tuple[int, int], list[Remedy], Inspection] | None = None
    least = _score(report)
    for remedy in _remedies(e, report):
        chosen = [*chosen, remedy]
        seen = _inspected(e, chosen, again) if remedy.acts else None
        if seen is None:
            continue
        score = _score(seen)
        if score > (least if best is None else best[0]):
            best = score, chosen, seen
        if _harmless(seen):
            break
    kept_remedies, after = ([], None) if best is None else (best[1], best[2])
    said = [r for r in chosen if not r.acts and r not in kept_remedies]
    open_cause = bool(chosen) and not chosen[0].acts
    remedies = [*kept_remedies, *said]
    code = code_of(remedies, _policy(remedies), given, held)
    return _fix(e, report, remedies, code, after, open_cause=open_cause)


def _fix(
    e: Evidence, report: Inspection, remedies: list[Remedy], code: str, after: Inspection | None, *, open_cause: bool
) -> Fix:
    """`open_cause`: the first cause is one that only its author can change, which what is slow still has."""
    policy = _policy(remedies)
    why = tuple(f"{f.kind} at {f.where}: {f.evidence}" for f in report.findings if remedies)[:4]
    return Fix(
        what=tuple(r.what for r in remedies),
        why=why,
        code=code,
        plan=None if policy is None else plan(e.model, e.inputs, policy),
        before=report.verdict,
        after=None if after is None else after.verdict,
        cured=_harmless(report) if after is None else _harmless(after) and not (open_cause and after.verdict == "slow"),
    )


def _remedies(e: Evidence, report: Inspection) -> Iterator[Remedy]:
    """What the findings' own kinds propose, causes first, then the whole plan where harm is left."""
    settled, seen = _score(report) == _score_of_none(), list[str]()
    for finding in report.findings:
        kind = kind_of(e, finding)
        if settled or kind is None or kind.remedy is None or (finding.severity == "info" and not kind.leads):
            continue
        remedy = kind.remedy(e, finding)
        if remedy is not None and remedy.what not in seen:
            seen.append(remedy.what)
            yield remedy
    if e.plan is not None and not settled:
        yield drawn_again("auto", WHOLE)


def _inspected(e: Evidence, remedies: Sequence[Remedy], again: Again) -> Inspection | None:
    """The inspection with all of them in place; None where it cannot be made."""
    inputs, targets, loss, lr = e.inputs, e.seen.answer.targets, e.seen.answer.function, None
    decay = next((r.decay for r in remedies if r.decay is not None), None)
    for r in remedies:
        inputs = inputs if r.inputs is None else r.inputs(inputs)
        targets = targets if r.targets is None else r.targets(targets)
        loss, lr = r.loss or loss, r.lr or lr
    whole = any(r.whole for r in remedies)
    policy = _policy(remedies)
    try:
        with hosted(e.model, seed=0), swapped(e.model, copies(e.model)), settings_of(e.model, remedies):
            if policy is not None:
                init_(e.model, policy, example_inputs=inputs, seed=0)
            for r in remedies:
                if r.prepare is not None:
                    r.prepare(e.model)
            return again(e.model, inputs, targets, loss, lr, decay, whole)
    except InputError:
        return None


def _policy(remedies: Sequence[Remedy]) -> Any:
    """What all of them write: the whole plan under what is named."""
    named: dict[str, Any] = {}
    for r in remedies:
        if r.policy == "auto":
            named = {"*": "auto"} | named
        elif not isinstance(r.policy, str | None):
            named |= r.policy
    if named == {"*": "auto"}:
        return "auto"
    return named or None


def _score(report: Inspection) -> tuple[int, int]:
    return BETTER[report.verdict], -sum(f.severity != "info" for f in report.findings)


def _harmless(report: Inspection) -> bool:
    """Whether training is predicted to get going, at once or late, and nothing is found that harms it."""
    return BETTER[report.verdict] >= BETTER["slow"] and not any(f.severity != "info" for f in report.findings)


def _score_of_none() -> tuple[int, int]:
    return max(BETTER.values()), 0


def _table(fix: Fix) -> Table:
    columns = (Column("step", "right"), Column("change"))
    return Table("What to change", columns, [(i + 1, clean(what)) for i, what in enumerate(fix.what)])


def _lead(fix: Fix) -> str:
    if not fix.what:
        return "Nothing has to change." if fix.cured else f"The start is {fix.before}; no change was found that helps."
    after = "was not tried: only its author can change that" if fix.after is None else f"is {fix.after}"
    return f"The start is {fix.before}; with the change it {after}."


def _text(fix: Fix, width: int) -> str:
    lines = [_lead(fix), *(f"- {clean(what, 600)}" for what in fix.what)]
    return "\n".join([*lines, "", fix.code]).rstrip()


def _page(fix: Fix) -> Page:
    callout = Callout("good" if fix.cured else "warning", "What to change", "\n\n".join((_lead(fix), *fix.why)))
    return Page("What to change", _lead(fix), [Section("What to change", [callout, _table(fix), *_pasted(fix)])])


def _pasted(fix: Fix) -> list[Code]:
    return [Code("Copy the fix", fix.code)] if fix.code else []


def _html(fix: Fix) -> str:
    return block_html(Callout("good" if fix.cured else "warning", "What to change", _text(fix, 80)))


def _data(fix: Fix) -> dict[str, Any]:
    names = ("what", "why", "code", "before", "after", "cured")
    return {name: getattr(fix, name) for name in names}


shows(Fix, View(table=_table, text=_text, html=_html, page=_page, data=_data))
