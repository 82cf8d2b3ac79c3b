"""Vector instructions an element of each step of the kernels, counted in the assembly that LLVM makes of it here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import njit

from initlab.sampling import compiled

ELEMENTS = 4 * compiled.COUNTERS


def looped(step: Callable[..., Any], real: Any) -> str:
    """The assembly of a loop over one group that does this step alone."""

    @njit
    def loop(out: Any, numbers: Any, block: Any, key: Any) -> None:
        for lane in range(0, 64, compiled.COUNTERS):
            step(out, compiled.i64(lane), numbers, block + compiled.u64(lane), key, key, key, key)

    loop(np.empty(256, real), np.ones(7, real), np.uint64(5), np.uint64(9))
    return "".join(loop.inspect_asm().values())


def counted(assembly: str) -> Counter[str]:
    """Instructions on vector registers between the labels that hold the rounds' multiplies."""
    blocks = re.split(r"\n\.L\w+:", assembly)
    drawing = [block for block in blocks if "vpmuludq" in block or "umull" in block or "pmuludq" in block]
    body = max(drawing, key=len) if drawing else assembly
    names = (line.split()[0] for line in body.splitlines() if re.search(r"%[xyz]mm|\bv\d+\.", line))
    return Counter(names)


def main() -> None:
    """Print the counts, and the commonest instructions."""
    print(f"{llvm.get_host_cpu_name()}; one step draws {ELEMENTS} elements; scalar instructions are not counted")
    steps = {
        "uniform": compiled._uniform_step,
        "normal": compiled._normal_step,
        "truncated": compiled._truncated_step,
    }
    for name, step in steps.items():
        for real in (np.float32, np.float64):
            found = counted(looped(step, real))
            common = ", ".join(f"{count} {word}" for word, count in found.most_common(6))
            total = sum(found.values())
            print(f"{name:10s}{real.__name__:8s}{total:5d} = {total / ELEMENTS:5.2f} an element: {common}")


if __name__ == "__main__":
    main()
