"""Where an experiment runs: its size, its seed, its data, and the results it has already got."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from initlab import data
from initlab.data import Split
from initlab.errors import InputError
from initlab.reporting import atomic_write, made_folder


@dataclass(frozen=True)
class Lab:
    """The place that `Experiment.measure` is given.

    Args:
        small: the form that CI runs: embedded digits, fewer seeds and steps.
        seed: root seed; every run's randomness derives from it.
        folder: where finished parts are kept, so that a stopped experiment goes on; made where it is not there. None
            keeps nothing.
        note: called with one line when a part starts.
    """

    small: bool = False
    seed: int = 0
    folder: Path | None = None
    note: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        if self.folder is not None:
            made_folder(self.folder)

    def data(self, *, normalize: bool = False, flat: bool = True) -> Split:
        """MNIST, or the embedded digits in the small form; inputs in [0, 1] unless normalised."""
        load = data.digits if self.small else data.mnist
        return load(normalize=normalize, flat=flat)

    def part(self, key: str, compute: Callable[[], Any], *, words: str | None = None) -> Any:
        """`compute()`, or what an earlier run of the same part stored. The value is what JSON holds.

        Args:
            key: names the part and everything that its result depends on beside size and seed.
            words: what is said when it starts; the key by default.
        """
        stored = self._path(key)
        if stored is not None and stored.exists():
            return _read(stored)
        self.note(key if words is None else words)
        value = json.loads(json.dumps(compute()))
        if stored is not None:
            atomic_write(stored, json.dumps(value))
        return value

    def scratch(self, key: str) -> Path | None:
        """A file for a part's own checkpoints, or None when nothing is kept."""
        path = self._path(key)
        if path is None:
            return None
        return path.with_suffix(".checkpoint")

    def _path(self, key: str) -> Path | None:
        if self.folder is None:
            return None
        digest = hashlib.sha256(f"{key}|{self.small}|{self.seed}".encode()).hexdigest()[:16]
        slug = "".join(c if c.isalnum() else "-" for c in key)[:48]
        return self.folder / f"{slug}-{digest}.json"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"stored part {path} cannot be read ({error}); delete it to run that part again") from None
