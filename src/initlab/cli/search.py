"""`initlab search MODEL`: schemes and learning rates searched together."""

from __future__ import annotations

from typing import Annotated

import typer

from initlab.cli import options, output
from initlab.cli.compare import Batch, Drift, Optimizer, Steps, Storage


def command(
    model: options.Model,
    data: Annotated[str, typer.Option(help="digits, mnist, or a .npz file with X and Y.")] = "digits",
    schemes: Annotated[str | None, typer.Option(help="Comma-separated; default the search's own list.")] = None,
    images: options.Images = False,
    trials: Annotated[int, typer.Option(help="How many settings to try.")] = 100,
    optimizer: Optimizer = "adamw",
    batch_size: Batch = 128,
    steps: Steps = 1000,
    storage: Storage = None,
    allow_drift: Drift = False,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Search schemes, learning rates and weight decay together; every fifth training row is held out to choose by."""

    target = output.checked_report(report)
    raise NotImplementedError
