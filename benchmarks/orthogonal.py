"""Orthogonal factors: one of 2048 × 2048, and 100 of 256 × 256, against torch.nn.init.orthogonal_, interleaved.

Then 100 parameters of 512 × 512 on two threads and on one; beside them two processes with half of them each, which
share nothing but the machine: what those gain is its limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

import initlab
from benchmarks.fill import paired
from initlab.sampling import fill, laws

THREADS = "INITLAB_THREADS"
GOAL = 1.8  # two threads over one


def main() -> None:
    """Print seconds and torch's time over ours."""
    print(f"medians of 3 interleaved rounds; load before: {os.getloadavg()[0]:.1f}")
    large, blocks = torch.empty(2048, 2048), torch.empty(100, 256, 256)
    packed = blocks.view(25600, 256).numpy()
    stack = laws.Stacked(0, (256,) * 100, (laws.Orthogonal(),) * 100)
    pairs = [
        ("2048 × 2048", lambda: fill(large.numpy(), laws.Orthogonal()), lambda: torch.nn.init.orthogonal_(large), 1),
        ("100 × 256 × 256", lambda: fill(packed, stack), lambda: [torch.nn.init.orthogonal_(b) for b in blocks], 2),
    ]
    for name, ours, theirs, goal in pairs:
        mine, other = paired(ours, theirs, rounds=3)
        print(f"{name:16s}{mine:8.3f} s  torch {other:8.3f} s  ratio {other / mine:5.2f} (goal {goal})", flush=True)
    two_cores(100, 512)


HALF = """
import sys
from benchmarks.orthogonal import layers
import initlab
model = layers(int(sys.argv[1]), int(sys.argv[2]))
for line in sys.stdin:
    initlab.init_(model, "orthogonal")
    print(flush=True)
"""


def layers(count: int, size: int) -> nn.Module:
    return nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(count))


def two_cores(count: int, size: int, rounds: int = 7) -> None:
    """Seconds on one thread over those on two threads and in two processes, round by round."""
    model, command = layers(count, size), [sys.executable, "-c", HALF, str(count // 2), str(size)]
    halves = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, THREADS: "1"})
        for _ in range(2)
    ]

    def on(threads: int) -> None:
        os.environ[THREADS] = str(threads)
        initlab.init_(model, "orthogonal")

    def in_processes() -> None:
        for half in halves:
            assert half.stdin is not None
            half.stdin.write(b"\n")
            half.stdin.flush()
        for half in halves:
            assert half.stdout is not None
            half.stdout.readline()

    def seconds(work: Callable[[], None]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    works: list[Callable[[], None]] = [lambda: on(1), lambda: on(2), in_processes]
    for work in works:
        work()
    taken = [[seconds(work) for work in works] for _ in range(rounds)]
    for half in halves:
        half.kill()
        half.wait()
    threads, processes = (statistics.median(row[0] / row[i] for row in taken) for i in (1, 2))
    gained = f"two threads {threads:.2f} (goal {GOAL}), two processes {processes:.2f}"
    limit = "" if processes >= GOAL else f"; the goal is out of reach here: what shares nothing gains {processes:.2f}"
    print(f"{count} × {size} × {size}, over one thread: {gained}{limit}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
