"""What `compare` and `search` share: the options of a study, and what Ctrl-C leaves of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from initlab.cli import completing, output
from initlab.cli.interruption import Interrupted

KEPT = "initlab.db"  # what an interrupted command that kept nothing proposes

Steps = Annotated[int, typer.Option(help="Optimizer steps of each run.")]
Batch = Annotated[int, typer.Option("--batch-size", help="Samples in a batch.")]


Optimizer = Annotated[
    str,
    typer.Option(help="sgd, adam, adamw, nadam, … : a wrong name lists all.", autocompletion=completing.optimizers),
]
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
        Interrupted: the study was interrupted; it says how to go on.
    """
    try:
        with output.stdout_kept():
            yield
    except KeyboardInterrupt as stop:
        result = getattr(stop, "result", None)
        done = result is not None and bool(getattr(result, "runs", ()) or getattr(result, "trials", ()))
        if done:
            output.deliver(result, as_json=as_json, report=report)
        raise stopped(storage, done) from None


def stopped(storage: str | None, done: bool) -> Interrupted:
    """What is said of a study that was interrupted, kept or not."""
    if storage is not None:
        return Interrupted("what was done is kept", "this goes on from there")
    kept = "what was done is above and is not kept" if done else "no run was finished"
    return Interrupted(kept, "this keeps what is done, and goes on from there", ("--storage", KEPT))
