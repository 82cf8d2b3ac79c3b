"""What of an `Outcome` to show: the claims first, then the figures, then the source's errors; and the index of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from initlab.experiments.claims import Verdict
from initlab.experiments.runner import Outcome
from initlab.reporting import (
    Callout,
    Code,
    Column,
    Page,
    Section,
    Table,
    Text,
    View,
    made_folder,
    save_page,
    shows,
    wrapped,
)

VERDICTS: tuple[Verdict, ...] = ("confirmed", "refuted", "inconclusive")


def claims_table(outcome: Outcome) -> Table:
    """The claims with their verdicts and numbers, as a table."""
    columns = (
        Column("claim", keep=9),
        Column("verdict", kind="status", keep=10),
        Column("numbers", keep=6),
        Column("test", keep=1),
        Column("source", keep=2),
    )
    rows = [(c.text, j.verdict, j.numbers, j.rule, c.source) for c, j in outcome.judged]
    return Table(f"{outcome.experiment.name}: {tally(outcome)}", columns, rows)


def tally(outcome: Outcome) -> str:
    """'7 confirmed, 1 refuted, 0 inconclusive'."""
    return ", ".join(f"{outcome.count(v)} {v}" for v in VERDICTS)


def text(outcome: Outcome, width: int = 80) -> str:
    """The claims for a terminal: one paragraph each, so that sentences stay whole at any width."""
    experiment = outcome.experiment
    lines = [*wrapped(f"{experiment.name}: {experiment.title}", width, after="  "), ""]
    for claim, judgement in outcome.judged:
        mark = {"confirmed": "✓", "refuted": "✗", "inconclusive": "?"}[judgement.verdict]
        lines += wrapped(f"{mark} {judgement.verdict}: {claim.text}", width, after="  ")
        lines += wrapped(judgement.numbers, width, "    ", "    ")
    for erratum in experiment.errata:
        lines += ["", *wrapped(f"In the source: {erratum}", width)]
    if outcome.reused:
        lines += ["", *wrapped(outcome.reused, width)]
    form = "small form, " if outcome.small else ""
    lines += ["", *wrapped(f"{tally(outcome)} ({form}seed {outcome.seed}, {outcome.seconds:.0f} s)", width)]
    return "\n".join(lines)


def page(outcome: Outcome) -> Page:
    """The whole report of one experiment."""
    experiment = outcome.experiment
    sections = [Section("Claims", [*_reused(outcome), claims_table(outcome)])]
    if experiment.errata:
        sections.append(Section("Errors in the source", [Callout("warning", line) for line in experiment.errata]))
    sections.append(Section("What was measured", list(experiment.show(outcome.results))))
    sections.append(
        Section("Run it", [Code("Copy the code that runs this experiment", _again([experiment.name], outcome))])
    )
    facts = (
        ("experiment", experiment.name),
        ("form", "small, on the embedded digits" if outcome.small else "full"),
        ("root seed", str(outcome.seed)),
        ("source", experiment.source),
    )
    return Page(experiment.title, f"{experiment.asks} {tally(outcome).capitalize()}.", sections, facts)


def _reused(outcome: Outcome) -> list[Callout]:
    return [Callout("warning", "From an earlier run", outcome.reused)] if outcome.reused else []


def _again(names: Sequence[str], outcome: Outcome) -> str:
    call = f"runner.run_all({list(names)!r}, small={outcome.small}, seed={outcome.seed})"
    return f"from initlab.experiments import runner\n\nfor outcome in {call}:\n    print(outcome.text())"


def index_table(outcomes: Iterable[Outcome]) -> Table:
    """One row an experiment: how many claims got each verdict."""
    columns = (
        Column("experiment", kind="code", keep=10),
        *(Column(v, align="right", kind="number", keep=8) for v in VERDICTS),
        Column("seconds", align="right", kind="number", keep=2),
    )
    rows = [(o.experiment.name, *(o.count(v) for v in VERDICTS), round(o.seconds, 1)) for o in outcomes]
    return Table("The literature, claim by claim", columns, rows)


def index_page(outcomes: Sequence[Outcome]) -> Page:
    """One page over all experiments: the table first, then every experiment's claims."""
    total = {v: sum(o.count(v) for o in outcomes) for v in VERDICTS}
    lead = f"{len(outcomes)} experiments, {sum(total.values())} claims: " + ", ".join(
        f"{n} {v}" for v, n in total.items()
    )
    sections = [Section("Overview", [index_table(outcomes)])]
    for outcome in outcomes:
        blocks: list[Any] = [Text(outcome.experiment.asks), *_reused(outcome), claims_table(outcome)]
        blocks += [Callout("warning", "In the source", line) for line in outcome.experiment.errata]
        sections.append(Section(outcome.experiment.title, blocks))
    if outcomes:
        code = _again([o.experiment.name for o in outcomes], outcomes[0])
        sections.append(Section("Run it", [Code("Copy the code that runs them all", code)]))
    return Page("The literature, reproduced", lead + ".", sections)


def save_all(outcomes: Sequence[Outcome], folder: str | Path) -> Path:
    """Write the last outcome's report and numbers, and one index page over all, into `folder`.

    Called as each experiment ends, so that what is done is on disk when a later one is stopped. Returns the index's
    path.
    """
    root = made_folder(folder)
    for outcome in outcomes[-1:]:
        outcome.save(root / f"{outcome.experiment.name}.html")
        outcome.save(root / f"{outcome.experiment.name}.json")
    return Path(save_page(index_page(outcomes), root / "index.html"))


shows(Outcome, View(table=claims_table, text=text, page=page, data=Outcome.to_dict))
