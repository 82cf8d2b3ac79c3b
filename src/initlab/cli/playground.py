"""`initlab playground`: the page that draws, shows and trains a network's start in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from initlab.cli import output
from initlab.cli.working import working

DEFAULT = Path("initlab-playground.html")


def command(
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="Where the page goes.")] = DEFAULT,
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Whether to open it in the browser.")] = True,
) -> None:
    """A page to try starts in: signals, gradients and training.

    One HTML file, in English and Korean, that needs no network.

    Example: initlab playground --out playground.html --no-open
    """
    target = output.checked_page(out)
    with working("writing the page", as_json=False):
        # lazy: it brings PyTorch, a second that a usage error does without
        from initlab import playground

        playground.save(target)
    output.said(target, "page")
    if open_it:
        webbrowser.open(target.resolve().as_uri())
