"""What commands print and write: JSON for machines, or text for people and a report file."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from initlab.errors import InputError
from initlab.reporting import Page, check_output, clean, json_text, print_page, save_page, wrapped
from initlab.reporting.terminal import make_console
from initlab.rng import random_states_kept

_beside: list[str] = []
NARROWEST = 40  # columns: in less no table can be read


def stdout_kept() -> contextlib.redirect_stdout[Any]:
    """While the user's code runs, what it prints goes to stderr, so that stdout is the result alone."""
    return contextlib.redirect_stdout(sys.stderr)


def checked_report(path: Path | None) -> Path | None:
    """`--report`'s path, refused before any work if it cannot be written."""
    return None if path is None else checked_page(path, "--report", " (--json prints the numbers)")


def checked_page(path: Path, option: str = "--out", hint: str = "") -> Path:
    """The path of a page to be written, refused if it has another ending or cannot be written."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{option} must end in .html; got {str(path)[:200]!r}{hint}")
    return check_output(path, option)


def deliver(result: Any, *, as_json: bool, report: Path | None) -> None:
    """Print `result` (its own text, or what its `.save("x.json")` holds) and write its report."""
    for line in _beside:
        note(line)
    if as_json:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "result.json"
            result.save(target)
            emit(target.read_text(encoding="utf-8").rstrip("\n"))
    else:
        emit(result.text(columns()))
    if report is not None:
        result.save(report)
        said(report)


def show(shown: Any, page: Page, data: Any, *, as_json: bool, report: Path | None) -> None:
    """Print `shown`, a block or page, or `data` as JSON, and write `page` as the report."""
    if as_json:
        print_json(data)
    else:
        print_page(shown)
    if report is not None:
        said(save_page(page, report))


def columns() -> int:
    """How wide the terminal is: 80 where there is none and COLUMNS says nothing."""
    with random_states_kept():  # rich draws link ids from Python's global generator when it is first imported
        return max(NARROWEST, make_console().width)


def print_json(data: Any) -> None:
    """`data` as JSON on stdout."""
    emit(json_text(data))


def emit(text: str) -> None:
    """`text` on stdout, whatever stdout can encode; a closed pipe is found here and not at exit."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


def said(path: Path, what: str = "report", more: str = "") -> None:
    """Tell on stderr where a file lies, so that stdout stays the result alone; its path stays whole, to be copied."""
    _told(f"{what}: {path}{more}")


def beside(*lines: str) -> None:
    """What is to stand on stderr before the result, once there is one: an error stays one line."""
    _beside[:] = lines


def note(line: str) -> None:
    """Prose on stderr, in lines as wide as the terminal."""
    for part in wrapped(clean(line, 1000), columns()):
        _told(part)


def _told(line: str) -> None:
    print(clean(line, 1000), file=sys.stderr, flush=True)
