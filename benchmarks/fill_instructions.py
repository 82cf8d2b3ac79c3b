"""Vector instructions an element of each step of the kernels, counted in the assembly that LLVM makes of it here."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import njit

from initlab.sampling import compiled, reference

ELEMENTS = 4 * compiled.COUNTERS


def looped(kind: int, real: Any) -> str:
    """The assembly of what draws one group by this law alone."""

    @njit
    def loop(out: Any, key: Any, numbers: Any) -> None:
        compiled._draw_floats(out, 0, 5, key, kind, numbers)

    loop(np.empty(256, real), np.ones(4, np.uint32), np.ones(7, real))
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
    for name, kind in {
        "uniform": reference.UNIFORM,
        "normal": reference.NORMAL,
        "truncated": reference.TRUNCATED,
    }.items():
        for real in (np.float32, np.float64):
            found = counted(looped(kind, real))
            common = ", ".join(f"{count} {word}" for word, count in found.most_common(6))
            total = sum(found.values())
            print(f"{name:10s}{real.__name__:8s}{total:5d} = {total / ELEMENTS:5.2f} an element: {common}")


if __name__ == "__main__":
    main()
