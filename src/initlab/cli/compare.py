"""`initlab compare MODEL`: schemes trained side by side, with seeds, intervals and a verdict."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from initlab.cli import completing, models, options, output, samples, studies
from initlab.cli.working import working


def command(
    model: options.Model,
    schemes: Annotated[
        str,
        typer.Option(
            help="Comma-separated: he_normal,xavier_normal; or in quotes 'normal(std=0.01)'.",
            autocompletion=completing.listed,
        ),
    ],
    data: samples.Trained = "digits",
    shapes: samples.Input = None,
    target: samples.Target = None,
    images: samples.Images = None,
    seeds: Annotated[int, typer.Option(help="Runs of each scheme.")] = 5,
    optimizer: studies.Optimizer = "adamw",
    lr: Annotated[str | None, typer.Option(help="Learning rate, or several: 0.001,0.01.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Default torch's own.")] = None,
    batch_size: studies.Batch = 128,
    steps: studies.Steps = 1000,
    race: Annotated[bool, typer.Option("--race", help="Spend steps where the decision is open.")] = False,
    engine: Annotated[
        str, typer.Option(help="auto, stacked, processes or sequential.", autocompletion=completing.engines)
    ] = "auto",
    storage: studies.Storage = None,
    study: studies.Study = None,
    allow_drift: studies.Drift = False,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Train a model under several schemes, side by side.

    Several seeds each, intervals, and which differences are real.

    Example: initlab compare mymodel:build --schemes he_normal,xavier_normal --seeds 3 --steps 200
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import comparison

    page = output.checked_report(report)
    with working(f"reading {data}", as_json=as_json):
        build = models.builder(model)
        split = samples.split_from(data, shapes, target, images, build)
    settings: dict[str, Any] = {} if lr is None else {"lr": options.numbers("--lr", lr)}
    if study is not None:
        settings["study"] = study
    with studies.under_way(storage, as_json=as_json, report=page):
        result = comparison.compare(
            build,
            split.train,
            split.test,
            schemes=options.policies_from(schemes),
            seeds=seeds,
            optimizer=optimizer,
            batch_size=batch_size,
            steps=steps,
            storage=storage,
            allow_drift=allow_drift,
            engine=engine,
            race=race,
            weight_decay=weight_decay,
            seed=seed,
            progress=False if as_json else None,
            **settings,
        )
    output.deliver(result, as_json=as_json, report=page)
