"""Where an experiment runs: its size, its seed, its data, and the results it has already got."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import initlab
from initlab import data
from initlab.data import Split
from initlab.errors import InputError, text
from initlab.reporting import atomic_write, made_folder


@dataclass(frozen=True)
class Lab:
    """The place that `Experiment.measure` is given.

    Args:
        small: the form that CI runs: embedded digits, fewer seeds and steps.
        seed: root seed; every run's randomness derives from it.
        folder: where finished parts are kept, so that a stopped experiment goes on; made where it is not there. None
            keeps nothing.
        note: called with one line when a part starts, or is taken from an earlier run.
        others: for each part that was taken from an earlier run of other code, what made it.
    """

    small: bool = False
    seed: int = 0
    folder: Path | None = None
    note: Callable[[str], None] = lambda line: None
    others: list[str] = field(default_factory=list)

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
            return self._taken(stored, key if words is None else words)
        self.note(key if words is None else words)
        value = json.loads(json.dumps(compute()))
        if stored is not None:
            atomic_write(stored, json.dumps({"made by": made_by(), "value": value}))
        return value

    def _taken(self, path: Path, words: str) -> Any:
        """What an earlier run stored; said, and remembered where other code made it."""
        found = _read(path)
        known = isinstance(found, Mapping) and found.keys() == {"made by", "value"}
        maker = found["made by"] if known else None
        if maker == made_by():
            self.note(f"{words}: kept from an earlier run")
        else:
            self.others.append(_maker_words(maker))
            self.note(f"{words}: kept from an earlier run of {self.others[-1]}")
        return found["value"] if known else found

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


@functools.cache
def made_by() -> dict[str, str]:
    """What computes here, as a stored part says it: the versions, and a hash of the package's files.

    >>> list(made_by())
    ['initlab', 'torch', 'code']
    """
    root = Path(initlab.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for ending in ("py", "json") for path in root.rglob(f"*.{ending}")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return {"initlab": initlab.__version__, "torch": torch.__version__, "code": digest.hexdigest()[:12]}


def _maker_words(maker: Any) -> str:
    if not isinstance(maker, Mapping):
        return "code that did not say what it was"
    return "other code: " + ", ".join(f"{name} {text(version)}" for name, version in maker.items())


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"stored part {path} cannot be read ({error}); delete it to run that part again") from None
