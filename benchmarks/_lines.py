"""Lines of JSON that a long benchmark adds one after another, so that it goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Lines:
    """A file of JSON, one object a line.

    Args:
        path: the file; it need not be there.
        *keys: the fields that name an object.
    """

    def __init__(self, path: Path, *keys: str) -> None:
        self.path, self.keys = path, keys
        texts = path.read_text().splitlines() if path.exists() else []
        self.kept: list[dict[str, Any]] = [json.loads(text) for text in texts]
        self._done = {self._name(line) for line in self.kept}

    def _name(self, line: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(line[key] for key in self.keys)

    def has(self, *name: Any) -> bool:
        """Whether the object of these fields is there."""
        return name in self._done

    def forget(self, names: Iterable[Any]) -> None:
        """Take the objects of these first fields as not there; lines that replace them come after theirs."""
        gone = set(names)
        self._done = {name for name in self._done if name[0] not in gone}

    def add(self, line: dict[str, Any]) -> None:
        """One more, in the file before this returns."""
        self.kept.append(line)
        self._done.add(self._name(line))
        with self.path.open("a") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
