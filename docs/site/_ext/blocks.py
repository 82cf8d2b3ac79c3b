"""The code blocks of a page, run in order in one namespace: the site shows what they print, and a test runs the same.

A block fenced as `python` is run; where its first line is a comment that names a file (`# mymodel.py`), it is written
to that file as well. A block fenced as `sh` is run line by line, each an `initlab` command. Others are only shown.
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

FENCE = re.compile(r"^```(?P<language>python|sh)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"^# (\w+\.py)$")


@dataclass(frozen=True)
class Block:
    """A code block that is run.

    Args:
        language: "python" or "sh".
        code: what stands between the fences.
        line: of the page, where the fence stands.
        end: the offset in the page's text just past it.
    """

    language: str
    code: str
    line: int
    end: int


@dataclass(frozen=True)
class Output:
    """What a block showed: the text it printed, and the value of its last expression (None where it has none)."""

    text: str
    value: Any = None


def blocks(text: str) -> list[Block]:
    """The blocks of a page that are run, in order."""
    return [Block(m["language"], m["code"], text.count("\n", 0, m.start()) + 1, m.end()) for m in FENCE.finditer(text)]


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
                    value = _python(block, page, namespace) if block.language == "python" else _commands(block)
            except (Exception, SystemExit) as error:
                raise RuntimeError(f"{page}, line {block.line}: {type(error).__name__}: {error}") from error
            yield block, Output(shown.getvalue(), value)


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
