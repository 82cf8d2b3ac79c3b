"""Filling 16.8 million elements: initlab's kernels against torch.nn.init, in one run, interleaved, medians."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import torch

from initlab.sampling import fill, laws

SIDE, ROUNDS = 4096, 7
Action = Callable[[], object]


def paired(ours: Action, theirs: Action, rounds: int = ROUNDS) -> tuple[float, float]:
    """Median seconds of two actions, run in turns after one unmeasured turn each."""
    ours(), theirs()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for action, kept in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            action()
            kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def cases() -> list[tuple[str, Action, Action, float]]:
    """(law, ours, torch's, the goal for torch's time over ours)."""
    single = torch.empty(SIDE, SIDE)
    half = torch.empty(SIDE, SIDE, dtype=torch.bfloat16)
    numbers, bits = single.numpy(), half.view(torch.uint16).numpy()
    uniform, normal, cut = laws.Uniform(-1.0, 1.0), laws.Normal(0.0, 1.0), laws.TruncatedNormal.from_sigmas(1.0)
    return [
        ("uniform float32", lambda: fill(numbers, uniform), lambda: torch.nn.init.uniform_(single, -1, 1), 4),
        ("normal float32", lambda: fill(numbers, normal), lambda: torch.nn.init.normal_(single), 3),
        ("truncated ±2 float32", lambda: fill(numbers, cut), lambda: torch.nn.init.trunc_normal_(single), 30),
        ("normal bfloat16", lambda: fill(bits, normal, dtype="bfloat16"), lambda: torch.nn.init.normal_(half), 4),
        ("constant float32", lambda: fill(numbers, laws.Constant(1.0)), lambda: torch.nn.init.ones_(single), 1),
    ]


def main() -> None:
    """Print ns an element on one and on two threads, and torch's time over ours."""
    count = SIDE * SIDE
    print(
        f"{count / 1e6:.1f} M elements, medians of {ROUNDS} interleaved rounds; load before: {os.getloadavg()[0]:.1f}"
    )
    for threads in ("1", "2"):
        os.environ["INITLAB_THREADS"] = threads
        torch.set_num_threads(int(threads))
        for name, ours, theirs, goal in cases():
            mine, other = paired(ours, theirs)
            rates = f"{mine / count * 1e9:7.3f} ns  torch {other / count * 1e9:8.3f} ns"
            print(f"{threads} thread(s)  {name:22s}{rates}  ratio {other / mine:6.2f} (goal {goal})", flush=True)


if __name__ == "__main__":
    main()
