"""What storage and reporting cost a study: the same runs kept in memory and in SQLite, interleaved."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

import initlab
from benchmarks.studies_race import network
from initlab.study.sql import SqlStore

REPEATS = 3
SCHEMES = ("he_normal", "xavier_normal", "lecun_normal", "orthogonal")
CALLS = ("__init__", "claim", "propose", "proposal", "put", "ended", "beat", "remember", "recall", "release", "close")


@contextmanager
def timed_store() -> Iterator[list[float]]:
    """Seconds spent in the store's own calls, in the list's only place."""
    spent, depth, real = [0.0], [0], {name: getattr(SqlStore, name) for name in CALLS}

    def wrapped(name: str) -> Any:
        def call(*args: Any, **settings: Any) -> Any:
            started = time.perf_counter()
            depth[0] += 1
            try:
                return real[name](*args, **settings)
            finally:
                depth[0] -= 1
                spent[0] += 0.0 if depth[0] else time.perf_counter() - started

        return call

    for name in CALLS:
        setattr(SqlStore, name, wrapped(name))
    try:
        yield spent
    finally:
        for name in CALLS:
            setattr(SqlStore, name, real[name])


def study(seeds: int, steps: int, storage: Path | None, **settings: Any) -> initlab.Comparison:
    """Four schemes on digits."""
    data = initlab.data.digits()
    return initlab.compare(
        network(nn.ReLU), data.train, data.test, list(SCHEMES), seeds, steps=steps, batch_size=32, storage=storage,
        evaluations=2, engine="stacked", **settings,
    )  # fmt: skip


def paired(seeds: int, steps: int, **settings: Any) -> tuple[float, ...]:
    """(SQLite's CPU time over memory's; shares of the study in the store's calls and in the report; seconds)."""
    with tempfile.TemporaryDirectory() as folder, timed_store() as spent:
        began = time.process_time()
        stored = study(seeds, steps, Path(folder) / "study.db", **settings)
        with_storage = time.process_time() - began
        started = time.perf_counter()
        repr(stored)
        stored.save(Path(folder) / "study.html")
        reporting = time.perf_counter() - started
    began = time.process_time()
    study(seeds, steps, None, **settings)
    ratio = with_storage / (time.process_time() - began)
    return ratio, spent[0] / stored.seconds, reporting / stored.seconds, stored.seconds


def main() -> None:
    torch.set_num_threads(1)  # two threads of one small product wait for one another on a busy machine
    paired(1, 10)  # imports
    for seeds, steps in ((3, 3000), (50, 400)):
        for words, settings in (("64 at once in both", {"at_once": 64}), ("as it comes", {})):
            found = [paired(seeds, steps, **settings) for _ in range(REPEATS)]
            ratio, share, reporting, seconds = (median(column) for column in zip(*found, strict=True))
            print(
                f"{4 * seeds} runs of {steps} steps, {words}, {seconds:.0f} s: SQLite over memory {ratio:.3f} in CPU "
                f"time ({', '.join(f'{one[0]:.3f}' for one in found)}); of the wall time {100 * share:.2f}% in storage "
                f"calls, {100 * reporting:.2f}% for the report (goal: at most 3% together)",
                flush=True,
            )


if __name__ == "__main__":
    main()
