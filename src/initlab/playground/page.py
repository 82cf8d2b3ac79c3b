"""The page put together: one HTML file that holds its style, its scripts and all that they are told."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from initlab.playground.settings import settings
from initlab.reporting.files import atomic_write
from initlab.reporting.html import content_policy, page_style, script_json

# Each module after those that it imports.
MODULES = (
    "settings", "words", "sha256", "streams", "transforms32", "transforms64", "truncation", "orthogonal", "laws",
    "schemes", "activations", "matrices", "norms", "network", "data", "start", "optimizers", "verdict", "training",
    "signals", "charts", "snippet", "app", "api",
)  # fmt: skip
_IMPORT = re.compile(r"^import (\{[^}]*\}) from \"\./(\w+)\.js\";$", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|let|function|class) (?P<name>\w+|\{[^}]*\}))", re.MULTILINE)


@cache
def page() -> str:
    """The playground as one HTML document that needs no network."""
    code = script()
    parts = {
        "policy": content_policy([code]),
        "style": page_style() + _text("page.css"),
        "settings": script_json(settings()),
        "script": code,
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], _text("page.html"))


def save(path: str | Path) -> Path:
    """Write the playground to `path`, through a temporary file and a rename.

    Raises:
        InputError: `path` is a directory, a symbolic link, read-only, or in no folder that exists.
    """
    return atomic_write(path, page())


def script() -> str:
    """The modules one after another, each a function of its own that returns what it exports."""
    return '(() => {\n"use strict";\n' + "\n".join(map(_module, MODULES)) + "})();\n"


def _module(name: str) -> str:
    text = _text(f"js/{name}.js")
    exported = [word for match in _EXPORT.finditer(text) for word in _names(match["name"])]
    body = _EXPORT.sub("", _IMPORT.sub(r"const \1 = module_\2;", text))
    return f"const module_{name} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();\n"


def _names(exported: str) -> list[str]:
    """The names that `export const { low_bits: LOW_BITS, mask } = …` or `export function f` gives."""
    return [part.split(":")[-1].strip() for part in exported.strip("{}").split(",")]


def _text(name: str) -> str:
    return files("initlab.playground").joinpath(name).read_text(encoding="utf-8")
