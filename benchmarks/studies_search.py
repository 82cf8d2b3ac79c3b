"""A 100-trial search against 100 plain sequential trials of a small CNN: time and best score, screened and not."""

from __future__ import annotations

import sys
import time
from typing import Any

from torch import nn

import initlab

STEPS, BATCH = 270, 32
SPACE: dict[str, Any] = {
    "@Conv2d": ["he_normal", "xavier_normal", "lecun_normal", "zeros", ("normal", {"std": (1e-3, 1.0)})],
    "@Linear": ["he_normal", "xavier_normal", "lecun_normal", "zeros", ("normal", {"std": (1e-3, 1.0)})],
    "lr": (1e-4, 1e-1),
}


def build() -> nn.Module:
    """Two convolutions and a linear layer on 8 × 8 digits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else 100
    data = initlab.data.digits(flat=False)
    x, y = data.train
    parts = (x[:1100], y[:1100]), (x[1100:], y[1100:]), data.test
    common: dict[str, Any] = {"space": SPACE, "trials": trials, "steps": STEPS, "batch_size": BATCH}
    ways: dict[str, dict[str, Any]] = {
        "plain, one after another": {"pruning": "none", "screen": False, "engine": "sequential", "at_once": 1},
        "as it comes": {},
        "without screening": {"screen": False},
    }
    seconds, best = {}, {}
    for name, way in ways.items():
        started = time.perf_counter()
        result = initlab.search(build, *parts, **common, **way)
        seconds[name], best[name] = time.perf_counter() - started, result.best_value
        print(
            f"{name}: {seconds[name]:.1f} s, best validation accuracy {100 * best[name]:.2f}%, "
            f"test {100 * result.test_accuracy:.2f}%, {result.run_steps:,} run-steps; {result.notes[0]}"
        )
    plain = "plain, one after another"
    for name in list(ways)[1:]:
        gain = 100 * (best[name] - best[plain])
        print(f"{name}: {seconds[name] / seconds[plain]:.2f} of the time (goal 0.25), {gain:+.2f} points (goal −0.3)")


if __name__ == "__main__":
    main()
