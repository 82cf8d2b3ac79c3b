"""Real processes for tests of sharded models: each group of them, one after another, joined by gloo.

A worker is a script with `main(rank, world)`, which prints one line a case on rank 0, "ok NAME" or "BAD NAME why".
What a process costs is mostly what it imports: one process imports it all, and the ranks are forked from it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path

import torch
import torch.distributed as dist

MOST_SECONDS = 240  # of one group


def lines_of_rank_0(worlds: Sequence[int], folder: Path, *workers: Path) -> dict[int, list[str]]:
    """What workers print on rank 0 of a group of each size, by size; all must end well.

    Args:
        worlds: sizes of the groups.
        folder: where they meet and write.
        workers: the scripts, run one after another in the same processes.
    """
    command = [sys.executable, __file__, str(folder), ",".join(map(str, worlds)), *map(str, workers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS * len(worlds))
    assert done.returncode == 0, done.stderr[-3000:]
    # gloo of torch 2.10 tells on stdout whom it is connected to.
    return {
        world: [line for line in _said(folder, world).read_text().splitlines() if not line.startswith("[Gloo]")]
        for world in worlds
    }


def _said(folder: Path, world: int) -> Path:
    return folder / f"rank 0 of {world}"


def run_groups(folder: Path, worlds: Sequence[int], workers: Sequence[Path]) -> None:
    """Run `workers` in a group of each size; the first process that fails ends its group and this one."""
    loaded(workers)
    # Other systems than Linux end a process that was forked after their libraries were loaded.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    for world in worlds:
        ranks = [context.Process(target=take_part, args=(rank, world, folder, workers)) for rank in range(world)]
        for rank in ranks:
            rank.start()
        left, until = list(ranks), time.monotonic() + MOST_SECONDS
        while left and time.monotonic() < until and not any(rank.exitcode for rank in ranks):
            wait([rank.sentinel for rank in left], timeout=1.0)
            left = [rank for rank in left if rank.is_alive()]
        for rank in left:
            rank.kill()
        codes = [rank.exitcode for rank in ranks]
        if left or any(codes):
            sys.exit(f"a group of {world} did not end well: {codes}")


def loaded(workers: Sequence[Path]) -> list[str]:
    """The workers' modules and all that they use later, imported; their names."""
    for worker in workers:
        sys.path.insert(0, str(worker.parent))
    for lazy in ("torch._dynamo.backends.common", "scipy.optimize", "initlab.planning"):
        importlib.import_module(lazy)
    return [importlib.import_module(worker.stem).__name__ for worker in workers]


def take_part(rank: int, world: int, folder: Path, workers: Sequence[Path]) -> None:
    """Run `workers` as one rank. All ranks wait for each other before they leave: gloo ends the process of a rank
    ("terminate called without an active exception") whose partner has gone while it still listens."""
    if rank == 0:
        os.dup2(os.open(_said(folder, world), os.O_WRONLY | os.O_CREAT), 1)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", store=dist.FileStore(str(folder / f"store of {world}"), world), rank=rank, world_size=world
    )
    for name in loaded(workers):
        sys.modules[name].main(rank, world)
    sys.stdout.flush()
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    run_groups(Path(sys.argv[1]), [int(world) for world in sys.argv[2].split(",")], [Path(w) for w in sys.argv[3:]])
