"""`initlab reproduce [NAME|--all]`: the literature's experiments, each claim judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from initlab.cli import completing, options, output
from initlab.cli.interruption import Interrupted
from initlab.cli.working import working
from initlab.errors import InputError
from initlab.reporting import Column, Table, counted, made_folder, print_page, save_page

if TYPE_CHECKING:
    from initlab.experiments import Outcome

FOLDER = Path("initlab-literature")


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One experiment.", autocompletion=completing.experiments)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, one after another.")] = False,
    small: Annotated[bool, typer.Option("--small", help="On the embedded digits, fewer seeds.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="Keep finished parts and reports here; the same call goes on from them.",
        ),
    ] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Run published experiments and judge each of their claims. Without a name: list them.

    One experiment writes initlab-NAME.html; --all writes every report and an index page into initlab-literature/ (or
    --folder), and goes on there when it was stopped. --json writes nothing unless it is told where.

    Example: initlab reproduce why-two-why-six --small
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab.experiments import get_experiment, list_experiments, runner, view

    target = output.checked_report(report)
    if name is not None and every:
        raise InputError("give a NAME or --all, not both")
    if name is None and not every:
        _list(as_json)
        return
    if every and folder is None and not as_json:
        folder = FOLDER
    if name is not None and target is None and not as_json:
        target = output.checked_report(Path(f"initlab-{get_experiment(name).name}.html"))
    if folder is not None:
        made_folder(folder, "--folder")
    outcomes: list[Outcome] = []
    try:
        for each in list_experiments() if name is None else [name]:
            with working(f"running {each}", as_json=as_json) as work:
                outcomes += runner.run_all([each], small=small, seed=seed, folder=folder, note=work.note)
            if not as_json:
                output.emit(f"{outcomes[-1].text(output.columns())}\n")
            if every and folder is not None:
                output.said(view.save_all(outcomes, folder))
    except KeyboardInterrupt:
        raise _stopped(len(outcomes), folder) from None
    if as_json:
        records = [outcome.to_dict() for outcome in outcomes]
        output.print_json(records if every else records[0])
    elif every:
        print_page(view.index_table(outcomes))
    if target is not None:
        page = view.index_page(outcomes) if every else view.page(outcomes[0])
        output.said(save_page(page, target))


def _stopped(done: int, folder: Path | None) -> Interrupted:
    finished = f"{counted(done, 'experiment')} finished"
    if folder is not None:
        return Interrupted(f"{finished}, what was done is kept in {folder}", "this goes on from there")
    more = ("--folder", str(FOLDER))
    return Interrupted(f"{finished}, nothing is kept", "this keeps what is done, and goes on from there", more)


def _list(as_json: bool) -> None:
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab.experiments import get_experiment, list_experiments

    found = [get_experiment(name) for name in list_experiments()]
    if as_json:
        output.print_json([{"name": e.name, "title": e.title, "source": e.source, "minutes": e.minutes} for e in found])
        return
    columns = (
        Column("experiment", kind="word", keep=9),
        Column("title", keep=6),
        Column("small, min", "right", "number", 3),
        Column("full, min", "right", "number", 4),
    )
    rows = [(e.name, e.title, *e.minutes) for e in found]
    print_page(Table("Experiments", columns, rows, "initlab reproduce NAME runs one, --all all of them."))
