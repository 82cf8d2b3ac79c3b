"""`initlab demo`: the five-layer story on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initlab.cli import options, output
from initlab.cli.working import working

DEFAULT = Path("initlab-demo.html")


def command(
    as_json: options.Json = False,
    report: Annotated[Path, typer.Option(metavar="FILE.html", help="Where the report goes.")] = DEFAULT,
    seed: options.Seed = 0,
) -> None:
    """Eight starts of one network: predicted, then trained.

    A five-layer network on handwritten digits: what inspect says before the first step, and what training then does.

    Example: initlab demo --report initlab-demo.html
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab.experiments import demo

    target = output.checked_report(report)
    with working("training eight starts", as_json=as_json) as work:
        told = demo.run(seed=seed, note=work.note)
    output.deliver(told, as_json=as_json, report=target)
