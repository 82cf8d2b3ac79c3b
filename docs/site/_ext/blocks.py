"""The code blocks of a page, run in order in one namespace: the site shows what they print, and a test runs the same.

A block fenced as `python` is run; where its first line is a comment that names a file (`# mymodel.py`), it is written
to that file as well. A block fenced as `sh` is run line by line, each an `initlab` command. Others are only shown.

`{value}` before a span of code in the prose is an expression: the page shows its value there, so that a sentence states
what the run above it measured.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from initlab import cli

PIECE = re.compile(
    r"^```(?P<language>python|sh)\n(?P<code>.*?)^```$|\{value\}`(?P<value>[^`]+)`", re.DOTALL | re.MULTILINE
)
FILE = re.compile(r"^# (\w+\.py)$")


@dataclass(frozen=True)
class Block:
    """A piece of code that is run.

    Args:
        language: "python", "sh", or "value" for an expression in the prose.
        code: what stands between the fences.
        line: of the page, where the fence stands.
        start, end: the offsets in the page's text at which it begins and just past it.
    """

    language: str
    code: str
    line: int
    start: int
    end: int


@dataclass(frozen=True)
class Output:
    """What a block showed: the text it printed, and the value of its last expression (None where it has none)."""

    text: str
    value: Any = None


def blocks(text: str) -> list[Block]:
    """What of a page is run, in order."""
    return [_block(found, text) for found in PIECE.finditer(text)]


def code_of(text: str) -> list[tuple[str, str]]:
    """(language, code) of what is run; expressions between two blocks in one order, since languages order words."""
    found: list[tuple[str, str]] = []
    values: list[tuple[str, str]] = []
    for block in blocks(text):
        if block.language == "value":
            values.append((block.language, block.code))
        else:
            found += [*sorted(set(values)), (block.language, block.code)]
            values = []
    return [*found, *sorted(set(values))]


def _block(found: re.Match[str], text: str) -> Block:
    line = text.count("\n", 0, found.start()) + 1
    return Block(found["language"] or "value", found["code"] or found["value"], line, found.start(), found.end())


def run(text: str, page: str) -> Iterator[tuple[Block, Output]]:
    """Every block of a page with what it showed, run in one namespace and a fresh folder.

    Args:
        text: the page.
        page: its name, for tracebacks.

    Raises:
        RuntimeError: a block failed; the message names the page and the line.
    """
    namespace: dict[str, Any] = {"__name__": "__page__"}
    with _fresh_folder():
        for block in blocks(text):
            shown = io.StringIO()
            try:
                with contextlib.redirect_stdout(shown):
                    value = _run(block, page, namespace)
            except (Exception, SystemExit) as error:
                raise RuntimeError(f"{page}, line {block.line}: {type(error).__name__}: {error}") from error
            yield block, Output(shown.getvalue(), value)


def _run(block: Block, page: str, namespace: dict[str, Any]) -> Any:
    if block.language == "value":
        return str(eval(block.code.replace("\n", " "), namespace))
    return _python(block, page, namespace) if block.language == "python" else _commands(block)


def _python(block: Block, page: str, namespace: dict[str, Any]) -> Any:
    first = FILE.match(block.code.splitlines()[0])
    if first:
        Path(first[1]).write_text(block.code, encoding="utf-8")
    tree = ast.parse(block.code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"{page}:{block.line}", "exec"), namespace)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), f"{page}:{block.line}", "eval"), namespace)


def _commands(block: Block) -> None:
    for line in block.code.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] != "initlab":
            raise ValueError(f"a block of sh holds initlab commands; got {line!r}")
        try:
            cli.main(words[1:])
        except SystemExit as ended:
            if ended.code:
                raise


@contextlib.contextmanager
def _fresh_folder() -> Iterator[None]:
    """The current folder and the first that imports look in; modules imported from it are forgotten after."""
    before, path, modules = Path.cwd(), list(sys.path), set(sys.modules)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            os.chdir(before)
            sys.path[:] = path
            for name in set(sys.modules) - modules:
                if str(getattr(sys.modules[name], "__file__", "") or "").startswith(folder):
                    del sys.modules[name]
