"""Memory as a study grows from 10 to 10,000 runs: each size in a process of its own, what it needs at most."""

from __future__ import annotations

import subprocess
import sys
import tempfile

SIZES = (10, 1_000, 10_000)

CHILD = """
import resource, sys, torch, initlab
from torch import nn
torch.set_num_threads(1)
runs, storage, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
data = initlab.data.digits()
initlab.compare(lambda: nn.Linear(64, 10), data.train, data.test, ["zeros", "he_normal"], 5, steps=5, batch_size=16,
                evaluations=1, engine="stacked", storage=folder + "/first.db" if storage else None)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = initlab.compare(lambda: nn.Linear(64, 10), data.train, data.test, ["zeros", "he_normal"], runs // 2, steps=25,
                         batch_size=16, evaluations=1, engine="stacked",
                         storage=folder + "/study.db" if storage else None)
trained = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
repr(result), result.analysis, result.save(folder + "/report.html")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(before / 1024, trained / 1024, after / 1024, result.seconds)
"""


def main() -> None:
    for storage in ("", "SQLite"):
        for runs in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                words = [sys.executable, "-c", CHILD, str(runs), storage, folder]
                out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            before, trained, after, seconds = (float(word) for word in out.split())
            print(
                f"{storage or 'memory'}, {runs:,} runs: {after:.0f} MB at most ({before:.0f} before, {trained:.0f} "
                f"trained, {1024 * (after - before) / runs:.1f} kB a run; {seconds:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
