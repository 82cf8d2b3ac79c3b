"""This commit beside an older one: seconds of studies, and memory of one with eight workers, round by round.

    python -m benchmarks.against REVISION [ROUNDS [WORK…]]

Each side is a process of its own over a checkout of its own; in each round both do the same work, in turns, so that
what else the machine does falls on both. The figure is the median of the paired ratios, new over old: at most 1.05 is
no slower. (`make bench` leaves it out: it asks for a commit.)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORKS = ("mlp", "cnn", "loader", "sequential", "stacked", "processes", "workers")

SIDE = """
import os, sys, threading, time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import initlab
draws = torch.Generator().manual_seed(0)
x, y = torch.randn(4096, 784, generator=draws), torch.randint(0, 10, (4096,), generator=draws)
mlp = lambda: nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
cnn = lambda: nn.Sequential(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Flatten(), nn.Linear(1352, 10))
loader = DataLoader(TensorDataset(x, y), batch_size=64)
test = x[:512], y[:512]

def study(build, train, steps, engine="auto", seeds=6):
    initlab.compare(build, train, test, ["he_normal", "xavier_normal"], seeds, "sgd", 0.01, batch_size=64, steps=steps,
                    engine=engine, evaluations=1)

def family():
    # Proportional set size of this process and those it began, in KiB: shared pages count once.
    parents, total = {}, 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
            parents[int(pid)] = int(fields[1])
        except OSError:
            pass
    for pid in parents:
        up = pid
        while up not in (os.getpid(), 0, None):
            up = parents.get(up)
        if up == os.getpid():
            try:
                rollup = open(f"/proc/{pid}/smaps_rollup").read().split()
                total += int(rollup[rollup.index("Pss:") + 1])
            except (OSError, ValueError):
                pass
    return total

def workers():
    from initlab.training.engines import auto, processes
    auto.cores = processes.cores = lambda: 8  # as many workers as a machine of eight cores has
    most, over = [0], threading.Event()
    def watch():
        while not over.wait(0.2):
            most[0] = max(most[0], family())
    watcher = threading.Thread(target=watch)
    watcher.start()
    study(mlp, (x, y), 400, "processes", 8)
    over.set()
    watcher.join()
    return most[0] / 1024

WORKS = {"mlp": lambda: study(mlp, (x, y), 100), "cnn": lambda: study(cnn, (x, y), 30),
         "loader": lambda: study(mlp, loader, 60), "sequential": lambda: study(cnn, (x, y), 30, "sequential"),
         "stacked": lambda: study(mlp, (x, y), 100, "stacked"),
         "processes": lambda: study(cnn, (x, y), 30, "processes"), "workers": workers}
for line in sys.stdin:
    began = time.perf_counter()
    memory = WORKS[line.strip()]()
    print(f"# {time.perf_counter() - began if memory is None else memory}", flush=True)
"""


class Side:
    """One commit's process.

    Args:
        tree: its checkout.
    """

    def __init__(self, tree: Path) -> None:
        path = {"PYTHONPATH": str(tree / "src")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SIDE], env={**os.environ, **path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def measure(self, work: str) -> float:
        """Seconds, or MiB of "workers"."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{work}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("# "):
                return float(line[2:])
        raise RuntimeError(f"the process ended in {work!r}")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def against() -> None:
    """Print one line a work."""
    if len(sys.argv) < 2:
        raise SystemExit("which commit? python -m benchmarks.against REVISION [ROUNDS [WORK…]]")
    revision, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 7
    works = sys.argv[3:] or WORKS
    print(f"new over old ({revision}), median of {rounds} pairs; load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        old_tree = Path(folder) / "old"
        subprocess.run(["git", "worktree", "add", "--detach", "-f", old_tree, revision], cwd=ROOT, check=True)
        sides = [Side(ROOT), Side(old_tree)]
        try:
            for work in works:
                count = 1 if work == "workers" else rounds
                for side in sides if count > 1 else ():
                    side.measure(work)
                pairs = [(sides[0].measure(work), sides[1].measure(work)) for _ in range(count)]
                ratio = statistics.median(new / old for new, old in pairs)
                new, old = (statistics.median(column) for column in zip(*pairs, strict=True))
                unit = "MiB" if work == "workers" else "s"
                print(f"{work:10}{new:10.3f} {unit:4}old {old:10.3f} {unit:4}ratio {ratio:.3f}", flush=True)
        finally:
            for side in sides:
                side.end()
            subprocess.run(["git", "worktree", "remove", "--force", old_tree], cwd=ROOT, check=True)


if __name__ == "__main__":
    against()
