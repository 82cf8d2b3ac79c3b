"""How many verdicts of the literature's experiments stand when the root seed changes: seeds 1, 2 and 3 beside 0."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from initlab.experiments import list_experiments, run

SEEDS = (0, 1, 2, 3)
FOLDER = Path("initlab-literature-seeds")


def measure(names: Iterable[str]) -> None:
    """Prints one line an experiment: claims with one verdict at all four seeds, and the claims that changed.

    A verdict that is 'inconclusive' at one seed and settled at another counts as changed, not as contradicted; a
    contradiction is 'confirmed' at one seed and 'refuted' at another. Finished parts are kept in `FOLDER`.
    """
    print("| experiment (small form) | claims | one verdict at all four seeds | contradicted |\n|---|---|---|---|")
    for name in names:
        outcomes = [run(name, small=True, seed=seed, folder=FOLDER / str(seed)) for seed in SEEDS]
        verdicts = [{o.judged[i][1].verdict for o in outcomes} for i in range(len(outcomes[0].judged))]
        same = sum(len(found) == 1 for found in verdicts)
        against = sum({"confirmed", "refuted"} <= found for found in verdicts)
        print(f"| {name} | {len(verdicts)} | {same} | {against} |", flush=True)
        for (claim, _), found in zip(outcomes[0].judged, verdicts, strict=True):
            if len(found) > 1:
                print(f"  {name}: {' / '.join(sorted(found))}: {claim.text}", file=sys.stderr, flush=True)


def main() -> None:
    """Every experiment."""
    measure(list_experiments())


if __name__ == "__main__":
    measure(sys.argv[1:] or list_experiments())
