"""What is kept of a run: a thinned training curve, a few measurements on the test data, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from initlab.training.task import Progress, RunSpec

Status: TypeAlias = Literal["finished", "diverged", "stopped", "set aside", "refused"]
LEFT_OUT = ("stopped", "set aside", "refused")  # statuses of runs that somebody decided not to train to their end

# Points of a curve that are kept: enough for a figure, few enough for ten thousand runs in memory.
CURVE_POINTS = 100


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One run as it ended.

    Args:
        key: names the run within the study.
        arm: label of what is compared: the scheme, with the learning rate where several are.
        scheme: the scheme's label.
        seed: pairs the runs of different arms.
        lr: learning rate.
        weight_decay: weight decay.
        status: "finished"; "diverged" (its loss became nan or infinite); "stopped" (by a race, worse beyond
            chance, or by a pruner); "set aside" (by a race, for its budget) or "refused" (certain not to train: never
            begun).
        steps: optimizer steps that it did.
        curve: (points, 2) float32: last step of each stretch, mean training loss over the stretch.
        tests: (measurements, 3) float64: step, test loss, test accuracy (nan where targets are no classes).
        reason: why it was stopped or refused.
        seconds: its share of the wall time; not a result.
    """

    key: str
    arm: str
    scheme: str
    seed: int
    lr: float
    weight_decay: float
    status: Status
    steps: int
    curve: np.ndarray
    tests: np.ndarray
    reason: str = ""
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """Test loss at the end; nan for a run that was not run out."""
        return float(self.tests[-1, 1]) if self.status == "finished" and len(self.tests) else math.nan

    @property
    def accuracy(self) -> float:
        """Test accuracy at the end, in [0, 1]; nan for a run that was not run out, or where targets are no classes."""
        return float(self.tests[-1, 2]) if self.status == "finished" and len(self.tests) else math.nan

    def to_dict(self) -> dict[str, Any]:
        """The record in what JSON holds."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "curve": self.curve.tolist(), "tests": self.tests.tolist()}


def record_from(values: Mapping[str, Any]) -> RunRecord:
    """The record whose `to_dict` gave `values` (after JSON too)."""
    curve = np.array(values["curve"], dtype=np.float32).reshape(-1, 2)
    tests = np.array(values["tests"], dtype=np.float64).reshape(-1, 3)
    return RunRecord(**{**values, "curve": curve, "tests": tests})


class Keeper:
    """Gathers one run's losses and measurements while it trains.

    Args:
        spec: the run.
        arm: its arm's label.
        steps: steps of a whole run.
        points: most points of the curve.
    """

    def __init__(self, spec: RunSpec, arm: str, steps: int, points: int = CURVE_POINTS) -> None:
        self.spec = spec
        self.arm = arm
        self.edges = np.unique(np.linspace(0, steps, min(points, steps) + 1).round().astype(np.int64))[1:]
        self.sums = np.zeros(len(self.edges))
        self.counts = np.zeros(len(self.edges), dtype=np.int64)
        self.tests: list[tuple[float, float, float]] = []
        self.seen = 0
        self.steps = 0
        self.diverged = False

    def add(self, progress: Progress) -> None:
        """The losses of one call of `advance`."""
        losses = progress.losses
        where = np.searchsorted(self.edges, np.arange(self.seen, self.seen + len(losses)), side="right")
        self.seen += len(losses)
        good = np.isfinite(losses)
        if not good.all():
            losses, where = losses[good], where[good]
        where = np.minimum(where, len(self.edges) - 1)
        self.sums += np.bincount(where, weights=losses, minlength=len(self.edges))
        self.counts += np.bincount(where, minlength=len(self.edges))
        self.steps, self.diverged = progress.steps, progress.diverged

    def measured(self, loss: float, accuracy: float | None) -> None:
        """A measurement on the test data at the step the run has reached."""
        self.tests.append((float(self.steps), loss, math.nan if accuracy is None else accuracy))

    @property
    def curve(self) -> np.ndarray:
        """(points, 2) float32: last step of each stretch so far, mean loss over it."""
        full = self.counts > 0
        ends = np.minimum(self.edges[full], max(self.steps, 1))
        return np.stack([ends, self.sums[full] / self.counts[full]], axis=1).astype(np.float32)

    @property
    def last_loss(self) -> float:
        """Mean training loss over the last stretch; nan before the first step."""
        full = np.flatnonzero(self.counts)
        return float(self.sums[full[-1]] / self.counts[full[-1]]) if len(full) else math.nan

    def record(self, status: Status, reason: str = "", seconds: float = 0.0) -> RunRecord:
        """The run as it ended."""
        return ended(self.spec, self.arm, status, self.steps, self.curve, self.tests, reason, seconds)


def ended(
    spec: RunSpec,
    arm: str,
    status: Status,
    steps: int = 0,
    curve: np.ndarray | None = None,
    tests: Sequence[tuple[float, float, float]] = (),
    reason: str = "",
    seconds: float = 0.0,
) -> RunRecord:
    """The record of a run; with the defaults, of one that never began."""
    kept = np.empty((0, 2), dtype=np.float32) if curve is None else curve
    measured = np.array(tests, dtype=np.float64).reshape(-1, 3)
    return RunRecord(
        spec.key, arm, spec.scheme_label, spec.seed, spec.lr, spec.weight_decay, status, steps, kept, measured, reason,
        seconds,
    )  # fmt: skip


def mean_losses(keepers: Iterable[Keeper]) -> dict[str, float]:
    """Arm -> mean over its runs of the latest training loss."""
    latest: dict[str, list[float]] = {}
    for keeper in keepers:
        latest.setdefault(keeper.arm, []).append(keeper.last_loss)
    return {arm: float(np.mean(losses)) for arm, losses in latest.items()}
