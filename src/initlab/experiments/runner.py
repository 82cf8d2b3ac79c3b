"""Running experiments: one or all of them, resumable, each ending in an `Outcome` of judged claims."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from initlab.errors import argued, check_flags, listed, seed_number
from initlab.experiments.claims import Claim, Judgement
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment, get_experiment, list_experiments
from initlab.reporting import Shown, made_folder
from initlab.training.engines import checked_executor
from initlab.training.engines.executors import called


@dataclass(frozen=True, repr=False)
class Outcome(Shown):
    """One experiment, run: its measured results and what they say of each claim.

    Attributes:
        experiment: the `Experiment` that ran.
        small: whether it was the small form.
        seed: the root seed.
        seconds: time that this call took (parts that were already stored cost nothing).
        results: what was measured, as JSON holds it.
        judged: (claim, judgement) pairs in the experiment's order.
        reused: what to know of parts that an earlier run of other code left in the folder; empty where none is.
    """

    experiment: Experiment
    small: bool
    seed: int
    seconds: float
    results: Mapping[str, Any]
    judged: tuple[tuple[Claim, Judgement], ...]
    reused: str = ""

    def count(self, verdict: str) -> int:
        """How many claims got this verdict."""
        return sum(judgement.verdict == verdict for _, judgement in self.judged)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON holds it; the results' own numbers included."""
        claims = [
            {"text": c.text, "source": c.source, "verdict": j.verdict, "numbers": j.numbers, "rule": j.rule}
            for c, j in self.judged
        ]
        return {
            "name": self.experiment.name,
            "title": self.experiment.title,
            "source": self.experiment.source,
            "small": self.small,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "errata": list(self.experiment.errata),
            "reused": self.reused,
            "claims": claims,
            "results": dict(self.results),
        }


@argued
def run(
    name: str,
    *,
    small: bool = False,
    seed: int = 0,
    folder: str | Path | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Run one published experiment and judge its claims.

    Args:
        name: one of `list_experiments()`.
        small: the form on the embedded digits that takes seconds.
        seed: root seed in [0, 2^64); every run inside derives its own from it.
        folder: keep finished parts here, so that a stopped run goes on from them; None keeps nothing. A part that
            other code or another torch has made is taken too, and the outcome says so.
        note: called with one line as each part starts.

    Returns:
        An `Outcome`.

    Raises:
        InputError: unknown name, bad seed, a folder that cannot be written into, or data that cannot be had.
    """
    experiment = get_experiment(name)
    check_flags(small=small)
    kept = None if folder is None else made_folder(folder) / name
    lab = Lab(small=small, seed=seed_number(seed), folder=kept, note=note)
    start = time.perf_counter()
    with torch.device("cpu"):  # where an experiment makes its own models and samples
        results = experiment.measure(lab)
    seconds = time.perf_counter() - start
    reused = _reused(lab.others, kept)
    return Outcome(experiment, small, seed, seconds, results, tuple(experiment.judge(results)), reused)


def _reused(makers: Sequence[str], folder: Path | None) -> str:
    if not makers:
        return ""
    count = "One part was" if len(makers) == 1 else f"{len(makers)} parts were"
    return f"{count} made by {listed(list(dict.fromkeys(makers)), 2)}. Without {folder} everything is measured anew."


def run_all(
    names: Sequence[str] | None = None,
    *,
    small: bool = False,
    seed: int = 0,
    folder: str | Path | None = None,
    note: Callable[[str], None] = lambda line: None,
    executor: Executor | None = None,
) -> Iterator[Outcome]:
    """Run `names` (all by default), one after another; yields each `Outcome` in their order. As `run` otherwise.

    Args:
        executor: any `concurrent.futures.Executor`, whose workers then run whole experiments beside one another; one
            whose worker dies is run once more. `folder` must be one that every worker sees.
    """
    workers = checked_executor(executor, "auto")
    if workers is not None:
        kept = None if folder is None else made_folder(folder).absolute()  # workers may stand elsewhere
        rows = [(get_experiment(name).name, small, seed_number(seed), kept) for name in names or list_experiments()]
        yield from called(workers, _run_there, rows)
        return
    for name in names or list_experiments():
        experiment = get_experiment(name)
        minutes = experiment.minutes[0 if small else 1]
        note(f"{name}: {experiment.title} ({_duration(minutes)})")
        yield run(name, small=small, seed=seed, folder=folder, note=note)


def _run_there(name: str, small: bool, seed: int, folder: str | Path | None) -> Outcome:
    return run(name, small=small, seed=seed, folder=folder)


def _duration(minutes: float | None) -> str:
    if minutes is None:
        return "running time not measured yet"
    return f"about {60 * minutes:.0f} s on two cores" if minutes < 2 else f"about {minutes:.0f} min on two cores"
