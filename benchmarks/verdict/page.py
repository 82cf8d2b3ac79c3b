"""Writes the tables of `docs/verdict.md` from what is stored: the shipped calibration, the recorded cells, the models.

    python -m benchmarks.verdict.page           # writes them
    python -m benchmarks.verdict.page --check   # tells whether they are current

A table stands between `<!-- NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmarks._lines import Lines
from benchmarks.verdict import as_built, causes
from benchmarks.verdict.figures import COLUMNS, Figures
from benchmarks.verdict.score import held_out_figures, left_out_figures, window
from initlab.inspection.trees import calibration
from initlab.inspection.verdict import FACTS

PAGE = Path(__file__).parents[2] / "docs" / "verdict.md"
ABOUT = {
    "best, line": "best rate, line",
    "best": "best rate, no line",
    "given, line": "a given rate, line",
    "given": "a given rate, no line",
}


LEFT_OUT = {**ABOUT, "best, line, once held out": "best rate, line; those once held out"}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(map(str, row)) for row in (head, *rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def facts() -> str:
    known = calibration().facts
    return table(["fact", "probability of untrainable"], [[FACTS[name].words, f"{p:.3f}"] for name, p in known.items()])


def bounds() -> str:
    trees = calibration().ensembles
    rows = [[words, f"{trees[name].trains:.2f}", f"{trees[name].untrainable:.2f}"] for name, words in ABOUT.items()]
    return table(["", "up to: healthy or slow", "from: untrainable"], rows)


def figures() -> str:
    """The held-out part, then the architectures fitted to, each left out in its turn."""
    rows = {f"new kinds: {name}": f for name, f in held_out_figures().items()}
    rows |= {f"left out in turn: {LEFT_OUT[name]}": f for name, f in left_out_figures().items()}
    return table(["architectures", "cells", *COLUMNS], [[name, *_numbers(f)] for name, f in rows.items()])


def _numbers(f: Figures) -> list[str]:
    return [f"{f.cells:,}", *(f"{share:.3f}" for share in (f.right, f.passed, f.accused, f.uncertain, f.brier, f.f1))]


def stable() -> str:
    """Of the new kinds."""
    share, cells = window()
    words = "The largest stable rate is within a decade of that of training"
    return f"{words} in {share:.3f} of the {cells} held-out cells that train."


def models() -> str:
    """What models are called as their libraries build them."""
    words = ("healthy", "slow", "uncertain", "untrainable")
    counts = as_built.counts(Lines(as_built.KEPT, "name").kept)
    rows = [[name, sum(count.values()), *(count[word] for word in words)] for name, count in counts.items()]
    return table(["optimizer and rate", "models", *words], rows)


def planted() -> str:
    """Faults planted in networks that train: named first, and cured, as training tells."""
    found = causes.counts(Lines(causes.KEPT, "network", "fault").kept)
    rows = [[name, right, among, f"{right / max(1, among):.3f}"] for name, (right, among) in found.items()]
    return table(["", "cells", "of", "share"], rows)


SECTIONS: Mapping[str, Callable[[], str]] = {
    "facts": facts, "bounds": bounds, "figures": figures, "window": stable, "models": models, "causes": planted,
}  # fmt: skip


def written(text: str) -> str:
    """The page with each of its tables made anew.

    Raises:
        ValueError: a table has no place in the page, or more than one.
    """
    for name, made in SECTIONS.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        if Counter(place.findall(text)).total() != 1:
            raise ValueError(f"the page has not one place for the table of {name}")
        text = place.sub(lambda found, made=made: f"{found[1]}\n{made()}\n{found[2]}", text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    old = PAGE.read_text()
    new = written(old)
    if asked.check:
        sys.exit(0 if new == old else f"{PAGE} is not current: run python -m benchmarks.verdict.page")
    PAGE.write_text(new)


if __name__ == "__main__":
    main()
