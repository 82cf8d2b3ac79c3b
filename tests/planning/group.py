"""Real processes for tests of sharded models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def lines_of_rank_0(worker: Path, world: int, store: Path) -> list[str]:
    """What a worker script prints on rank 0 of a gloo group of `world` processes; all must end well."""
    started = [
        subprocess.Popen(
            [sys.executable, str(worker), str(rank), str(world), str(store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        done = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, done, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return done[0][0].splitlines()
