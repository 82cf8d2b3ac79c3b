"""What storage costs a study: the same runs kept in memory and in SQLite, interleaved; and memory as runs grow."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path
from statistics import median

from torch import nn

import initlab
from benchmarks.studies_race import network

REPEATS = 3


def timed(build: object, seeds: int, steps: int, storage: Path | None) -> float:
    """Seconds of a study of four schemes on digits."""
    data = initlab.data.digits()
    schemes = ["he_normal", "xavier_normal", "lecun_normal", "orthogonal"]
    result = initlab.compare(
        build, data.train, data.test, schemes, seeds, steps=steps, batch_size=32, storage=storage, evaluations=2,
        at_once=64, engine="stacked",
    )  # fmt: skip
    return result.seconds


def main() -> None:
    for runs, seeds, steps in ((12, 3, 1500), (200, 50, 400)):
        ratios = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                kept = timed(network(nn.ReLU), seeds, steps, Path(folder) / "study.db")
            ratios.append(kept / timed(network(nn.ReLU), seeds, steps, None))
        shown = ", ".join(f"{r:.3f}" for r in ratios)
        print(f"{runs} runs of {steps} steps: SQLite over memory {median(ratios):.3f} ({shown}; goal: at most 1.03)")
    for seeds in (10, 100, 1000):
        data = initlab.data.digits()
        tracemalloc.start()
        result = initlab.compare(
            lambda: nn.Linear(64, 10),
            data.train,
            data.test,
            ["zeros"],
            seeds,
            steps=25,
            evaluations=1,
            engine="stacked",
        )
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(
            f"{seeds} runs: {size / 1e6:.1f} MB held ({peak / 1e6:.1f} at most), {size / len(result.runs):,.0f} B a run"
        )


if __name__ == "__main__":
    main()
