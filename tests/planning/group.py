"""Real processes for tests of sharded models: `python group.py RANK WORLD STORE WORKER...` is one of a gloo group.

A worker is a script with `main(rank, world)`, which prints one line a case on rank 0, "ok NAME" or "BAD NAME why".
Several workers run one after another in the same processes, whose start is most of what they cost.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist


def lines_of_rank_0(world: int, store: Path, *workers: Path) -> list[str]:
    """What workers print on rank 0 of a group of `world` processes; all must end well."""
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(world), str(store), *map(str, workers)],
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
    # gloo of torch 2.10 tells on stdout whom it is connected to.
    return [line for line in done[0][0].splitlines() if not line.startswith("[Gloo]")]


def take_part(rank: int, world: int, store: str, workers: Sequence[Path]) -> None:
    """Run `workers` as one rank. All ranks wait for each other before they leave: gloo ends the process of a rank
    ("terminate called without an active exception") whose partner has gone while it still listens."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(store, world), rank=rank, world_size=world)
    for worker in workers:
        sys.path.insert(0, str(worker.parent))
        importlib.import_module(worker.stem).main(rank, world)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    take_part(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], [Path(name) for name in sys.argv[4:]])
