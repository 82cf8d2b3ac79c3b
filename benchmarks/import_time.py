"""`import initlab` beside `import torch`: what the library adds to a program's start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 7


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Interleaved process starts; prints medians and the difference."""
    programs = {"torch": "import torch", "torch, initlab": "import torch, initlab"}
    programs["torch, initlab.init_"] = "import torch, initlab; initlab.init_"
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, code in programs.items():
            times[name].append(_seconds(code))
    base = statistics.median(times["torch"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"import {name:22s} {median:.3f} s   {median - base:+.3f} s against torch alone")


if __name__ == "__main__":
    main()
