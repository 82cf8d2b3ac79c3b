"""What came of the trainings of `train.py`: shares by kind and commit, what misses, and the page that says so.

The page's later sections are written by hand, and stay.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.zoo.running import share

KEPT = Path(__file__).with_name("trained.jsonl")
PAGE = Path(__file__).parents[1] / "TRAINED.md"
SLACK = 1.05
HEAD = """# The zoo trained: `auto` beside each library's own start

`python -m benchmarks.zoo.train`, on CPU, one thread, a busy machine; which data and optimizers is said in
`benchmarks/zoo/tasks.py`: a token chain with four successors a token (decoders say the next token, encoders one that is
masked, encoder-decoders the rest), MNIST at 32 pixels for classifiers; fresh batches, AdamW at 1e-3, SGD with momentum
at 0.01, both falling linearly to zero. Tokens and pictures come by turns in an order drawn by a seed, and the run ended
when time did, so the lines are a sample that nobody chose. The figure is the mean loss of the last tenth of the steps;
*no worse* is at most 1.05 times that of the own start, *or of a second* counts a second draw of the own start, made
where `auto` misses, as well. Each start is drawn with one seed; lines name their commit. Encoders and some
encoder-decoders hardly leave the loss of the tokens' shares (3.8) in 200 steps: their lines say little. The tables have
the newest line of each; those of an older commit say what `auto` was then.
"""
BY_HAND = "## What is known of the misses"


def kept() -> list[dict[str, Any]]:
    """The newest line of each training."""
    lines = map(json.loads, KEPT.read_text().splitlines()) if KEPT.exists() else ()
    return list({line["name"]: line for line in lines}.values())


def holds(line: dict[str, Any]) -> bool:
    return bool(line["auto"] <= SLACK * line["own"][0])


def within_luck(line: dict[str, Any]) -> bool:
    return bool(line["auto"] <= SLACK * max(line["own"]))


def page() -> str:
    lines = kept()
    pairs = [line for line in lines if "auto" in line and math.isfinite(min(line["own"]))]
    kinds: dict[str, list[dict[str, Any]]] = {}
    commits: dict[str, list[dict[str, Any]]] = {}
    for line in pairs:
        kinds.setdefault(line["name"].partition("/")[0], []).append(line)
        commits.setdefault(line["commit"], []).append(line)
    words = [
        f"\n{len(lines)} tried: {len(pairs)} count below, {sum('failed' in line for line in lines)} could not be built "
        f"or trained in time here, {sum('raised' in line for line in lines)} raised.\n",
        "| | trained | no worse | or of a second | lower |\n|---|---|---|---|---|",
        *(_row(kind, found) for kind, found in sorted(kinds.items())),
        _row("**all**", pairs),
        *(_row(f"at {commit}", found) for commit, found in commits.items()),
        "\n## What misses\n",
        *(
            f"- `{line['name']}`: own {_numbers(line['own'])}, `auto` {line['auto']} ({line['steps']} steps, at "
            f"{line['commit']})"
            for line in pairs
            if not holds(line)
        ),
    ]
    return HEAD + "\n".join(words) + "\n\n" + _by_hand()


def _by_hand() -> str:
    text = PAGE.read_text()
    return text[text.index(BY_HAND) :]


def _row(name: str, lines: list[dict[str, Any]]) -> str:
    lower = share(line["auto"] <= line["own"][0] for line in lines)
    return f"| {name} | {len(lines)} | {share(map(holds, lines))} | {share(map(within_luck, lines))} | {lower} |"


def _numbers(values: Iterable[float]) -> str:
    return " and ".join(map(str, values))
