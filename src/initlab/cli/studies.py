"""What `compare` and `search` share: the options of a study, and what Ctrl-C leaves of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from initlab.cli import output

Steps = Annotated[int, typer.Option(help="Optimizer steps of each run.")]
Batch = Annotated[int, typer.Option("--batch-size", help="Samples in a batch.")]
Optimizer = Annotated[str, typer.Option(help="sgd, adam, adamw, nadam, … : a wrong name lists all.")]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Keep the runs here and go on from there: FILE.db, sqlite:///FILE, postgresql://…"
    ),
]
Study = Annotated[str | None, typer.Option(help="The study's name within the storage.")]
Drift = Annotated[bool, typer.Option("--allow-drift", help="Resume although model, data or settings have changed.")]


@contextlib.contextmanager
def under_way(storage: str | None, *, as_json: bool, report: Path | None) -> Iterator[None]:
    """A study runs inside: what the user's code prints goes to stderr, and Ctrl-C prints what was done.

    Raises:
        KeyboardInterrupt: the study was interrupted; the message says how to go on.
    """
    try:
        with output.stdout_kept():
            yield
    except KeyboardInterrupt as stop:
        result = getattr(stop, "result", None)
        done = result is not None and bool(getattr(result, "runs", ()) or getattr(result, "trials", ()))
        if done:
            output.deliver(result, as_json=as_json, report=report)
        raise KeyboardInterrupt(_how_to_go_on(storage, done)) from None


def _how_to_go_on(storage: str | None, done: bool) -> str:
    if storage is not None:
        return "what was done is kept; the same command goes on from there"
    if not done:
        return "no run was finished; with --storage FILE.db those that are would be kept"
    return "what was done is above; with --storage FILE.db the same command goes on from there"
