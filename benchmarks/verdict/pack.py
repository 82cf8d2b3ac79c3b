"""Packs what `measure` and `measure_library` wrote into the file of cells that is committed and fitted to.

python -m benchmarks.verdict.pack MEASURED.jsonl [MEASURED.jsonl ...]
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from benchmarks._lines import Lines
from benchmarks.verdict.cells import CELLS, pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, nargs="+")
    asked = parser.parse_args()
    cells = itertools.chain.from_iterable(Lines(path, "cell").kept for path in asked.measured)
    print(f"{CELLS}: {pack(cells)} cells")


if __name__ == "__main__":
    main()
