"""How many verdicts of the literature's experiments stand when the root seed changes: seeds 1, 2 and 3 beside 0.

python -m benchmarks.literature_seeds [NAME ...]        # the table; what changed goes to stderr
python -m benchmarks.literature_seeds --verdicts FILE   # the verdicts at seed 0, as tests/experiments keeps them
"""

from __future__ import annotations

import json
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


def keep_verdicts(path: Path) -> None:
    """Experiment -> claim -> verdict of the small form at seed 0, into `path`."""
    found = {}
    for name in list_experiments():
        outcome = run(name, small=True, seed=0, folder=FOLDER / "0")
        found[name] = {claim.text: judgement.verdict for claim, judgement in outcome.judged}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Every experiment."""
    measure(list_experiments())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--verdicts"]:
        keep_verdicts(Path(sys.argv[2]))
    else:
        measure(sys.argv[1:] or list_experiments())
