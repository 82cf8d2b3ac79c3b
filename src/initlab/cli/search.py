"""`initlab search MODEL`: schemes and learning rates searched together."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from initlab.cli import completing, models, options, output, samples, studies
from initlab.cli.working import working


def command(
    model: options.Model,
    data: samples.Trained = "digits",
    shapes: samples.Input = None,
    target: samples.Target = None,
    images: samples.Images = None,
    schemes: Annotated[
        str | None,
        typer.Option(
            help="To choose from, with commas: he_normal, 'normal(std=(0.01,1))'.", autocompletion=completing.listed
        ),
    ] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="SELECTOR=SCHEMES",
            help="A choice for some parameters.",
            autocompletion=completing.ruled,
        ),
    ] = None,
    lr: Annotated[str | None, typer.Option(help="A number, or LOW:HIGH on a log scale.")] = None,
    weight_decay: Annotated[str | None, typer.Option(help="A number, or LOW:HIGH on a log scale.")] = None,
    trials: Annotated[int, typer.Option(help="How many settings to try.")] = 100,
    pruning: Annotated[
        str, typer.Option(help="halving, hyperband, median or none.", autocompletion=completing.pruners)
    ] = "halving",
    screen: Annotated[bool, typer.Option(help="Refuse starts that are certain not to train.")] = True,
    optimizer: studies.Optimizer = "adamw",
    batch_size: studies.Batch = 128,
    steps: studies.Steps = 1000,
    storage: studies.Storage = None,
    study: studies.Study = None,
    allow_drift: studies.Drift = False,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Search schemes and learning rates together.

    Every fifth training row is held out to choose by; the test rows are looked at once, for the best.

    Example: initlab search mymodel:build --schemes he_normal,'normal(std=(0.01,1))' --lr 1e-4:1e-1 --trials 20
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import searching
    from initlab.data import held_out  # lazy: as above

    page = output.checked_report(report)
    with working(f"reading {data}", as_json=as_json):
        build = models.builder(model)
        split = samples.split_from(data, shapes, target, images, build)
        train, valid = held_out(*split.train)
    space = options.space_from(schemes, rules, {"lr": lr, "weight_decay": weight_decay})
    settings: dict[str, Any] = {} if study is None else {"study": study}
    with studies.under_way(storage, as_json=as_json, report=page):
        result = searching.search(
            build,
            train,
            valid,
            split.test,
            space=space,
            trials=trials,
            pruning=pruning,
            screen=screen,
            optimizer=optimizer,
            batch_size=batch_size,
            steps=steps,
            storage=storage,
            allow_drift=allow_drift,
            seed=seed,
            progress=False if as_json else None,
            **settings,
        )
    output.deliver(result, as_json=as_json, report=page)
