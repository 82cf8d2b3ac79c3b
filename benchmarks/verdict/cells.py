"""The recorded cells with what became of them: the truth that the verdict is calibrated on and scored against.

r = (L0 - L) / (L0 - L*): L is the loss at the end of training, L0 that of the best constant answer, L* the lowest that
any cell of the architecture reached in the short training. Untrainable: r under 0.1 also after the long training;
healthy: r of 0.7 or more after the short one; slow: the others. Without a rate the best of those tried counts.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.verdict.fresh_architectures import FRESH
from benchmarks.verdict.unseen_architectures import UNSEEN
from initlab.inspection.line import STABLE

WORDS = ("healthy", "slow", "untrainable")
STUCK, WELL = 0.1, 0.7
BORDER = (0.05, 0.15)
LEARNABLE = 0.2  # share of the constant answer's loss that an architecture must be able to remove to be counted
CELLS = Path(__file__).with_name("cells.jsonl")
HELD_OUT = frozenset(architecture.name for architecture in FRESH)  # never fitted to
ONCE_HELD_OUT = frozenset(architecture.name for architecture in UNSEEN)  # fitted to, after it had been scored on


@dataclass(frozen=True)
class Example:
    """One cell at its best rate, or at one rate.

    Attributes:
        cell, architecture, kind: where it comes from.
        lr: the rate that it is about; None for the best.
        numbers: the features.
        word: what became of it.
        border: whether r lies so near to the bound that another seed could give another word.
    """

    cell: str
    architecture: str
    kind: str
    lr: float | None
    numbers: Mapping[str, float]
    word: str
    border: bool


def read(path: Path = CELLS) -> list[dict[str, Any]]:
    """The cells as `measure` wrote them, from the packed file."""
    first, *rest = (json.loads(line) for line in path.read_text().splitlines())
    names, rated = first["features"], first["of the rate"]
    return [_unpacked(cell, names, rated) for cell in rest]


def _unpacked(cell: dict[str, Any], names: list[str], rated: list[str]) -> dict[str, Any]:
    given = {lr: dict(zip(rated, values, strict=True)) for lr, values in cell["given"].items()}
    return {**cell, "best": dict(zip(names, cell["best"], strict=True)), "given": given}


def pack(cells: Iterable[Mapping[str, Any]], path: Path = CELLS) -> int:
    """Writes measured cells, each once, with the names of the features in the first line alone; returns how many."""
    kept = list({cell["cell"]: cell for cell in cells}.values())
    names = list(kept[0]["best"])
    changed = {name for cell in kept for numbers in cell["given"].values() for name in numbers}
    rated = [name for name in names if name in changed]
    lines: list[Mapping[str, Any]] = [{"features": names, "of the rate": rated}]
    for cell in kept:
        best = cell["best"]
        given = {lr: [numbers.get(n, best[n]) for n in rated] for lr, numbers in cell["given"].items()}
        line = cell["line"] and [point[:2] for point in cell["line"]]
        lines.append({**cell, "best": [best[name] for name in names], "given": given, "line": line})
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    return len(kept)


def fingerprint(path: Path = CELLS) -> str:
    """SHA-256 of the packed file: what trees were fitted to is told by it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def architecture_of(line: Mapping[str, Any]) -> str:
    return str(line["cell"]).split("|")[0]


def held_out(architecture: str) -> bool:
    """Whether the architecture belongs to the part that the trees are scored on and never fitted to."""
    return architecture in HELD_OUT


def examples(lines: Iterable[Mapping[str, Any]]) -> tuple[list[Example], list[Example]]:
    """(one example a cell, about its best rate; one a cell and rate)."""
    lines = list(lines)
    lowest: dict[str, float] = defaultdict(lambda: math.inf)
    for line in lines:
        ends = [short[0] for short in line["finals"].values() if short[0] is not None]
        lowest[architecture_of(line)] = min([lowest[architecture_of(line)], *ends])
    best: list[Example] = []
    given: list[Example] = []
    for line in lines:
        own = lowest[architecture_of(line)]
        if line["constant"] - own < LEARNABLE * line["constant"]:
            continue
        learned = {lr: [_learned(end, line["constant"], own) for end in ends] for lr, ends in line["finals"].items()}
        best.append(_best(line, learned))
        given += [_given(line, learned, lr) for lr in learned]
    return best, given


def _learned(end: float | None, constant: float, lowest: float) -> float:
    return -math.inf if end is None else (constant - end) / (constant - lowest)


def word_of(short: float, late: float) -> str:
    return "untrainable" if max(short, late) < STUCK else "healthy" if short >= WELL else "slow"


def _best(line: Mapping[str, Any], learned: Mapping[str, list[float]]) -> Example:
    short, late = max(r[0] for r in learned.values()), max(max(r) for r in learned.values())
    return _example(line, None, _at_best(line), word_of(short, late), late)


def _at_best(line: Mapping[str, Any]) -> dict[str, Any]:
    """The features at the best rate, which is at most the largest that is called stable."""
    most = stable_up_to(line)
    if line["rate"] is None or line["rate"] <= most * 1.01:
        return dict(line["best"])
    nearest = [lr for lr in line["given"] if math.isclose(float(lr), most, rel_tol=0.01)]
    return {**line["best"], **(line["given"][nearest[0]] if nearest else {})}


def stable_up_to(line: Mapping[str, Any]) -> float:
    """The largest rate that is called stable with the cell's optimizer."""
    optimizer = str(line["cell"]).split("|")[3]
    return STABLE["sign"] if optimizer == "adamw" else STABLE["sgd"] * (0.1 if optimizer == "momentum" else 1.0)


def _given(line: Mapping[str, Any], learned: Mapping[str, list[float]], lr: str) -> Example:
    """A rate under the best one that was not trained for long is slow, not stuck: it needs more steps."""
    short, late = learned[lr][0], max(learned[lr])
    word = word_of(short, late)
    best = max(learned, key=lambda one: max(learned[one]))
    if word == "untrainable" and len(learned[lr]) == 1 and float(lr) < float(best) and max(learned[best]) >= STUCK:
        word = "slow"
    return _example(line, float(lr), {**line["best"], **line["given"][lr]}, word, late)


def _example(line: Mapping[str, Any], lr: float | None, numbers: Mapping[str, Any], word: str, r: float) -> Example:
    known = {name: math.nan if value is None else float(value) for name, value in numbers.items()}
    return Example(line["cell"], architecture_of(line), line["kind"], lr, known, word, BORDER[0] < r < BORDER[1])
