"""Read-outs: their first loss, judged by the logits that a loss reads, past the factors that follow them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from initlab.guest.doubles import doubled
from initlab.guest.inputs import dense
from initlab.guest.transformed import of_whole
from initlab.planning.calibration.found import rounded
from initlab.planning.calibration.measuring import NOTHING, feature_axis
from initlab.planning.plan import PlanEntry
from initlab.planning.sizes.targets import Targets
from initlab.reporting import format_number

SHRUNK = 0.25  # second moment of what a tied head reads, below which a constant shrinks it
FAINT = 1e-4  # second moment of logits below which the rule is wrong about what feeds them, and they may grow
MOST = 10.0  # by how much: a far larger read-out makes the steps of all below it as much larger
ROWS = 512  # answers from which the loss of a read-out is measured
LOGITS = 2**19  # and numbers, of which these are made


@dataclass(frozen=True)
class Logits:
    """What a read-out gives.

    Args:
        shape: the shape of its logits.
        axis: the axis of the classes.
        second: their second moment.
        most: what its std may grow by.
        shrunk: whether a constant before a tied head makes its logits smaller, and slower to learn, by as much.
    """

    shape: torch.Size
    axis: int
    second: float
    most: float
    shrunk: bool = False

    def of(self, tensor: torch.Tensor) -> tuple[torch.Tensor, int] | None:
        """A tensor that has the same classes along the same axis, or all in groups along its last, and that axis.

        One number of each place has no axis where it was squeezed or places were parted, and is pooled over places as
        it is. None of others.
        """
        last = tensor.shape[-1] if self.axis == -1 and tensor.dim() else 0
        groups = last > 1 and self.shape[-1] % last == 0 and tensor.numel() == self.shape.numel()
        if tensor.shape == self.shape or last == self.shape[-1] or groups:
            return tensor, self.axis
        if self.shape[self.axis] == 1 and last != 1:
            return tensor.unsqueeze(-1), -1
        return None


class ReadOuts:
    """The read-outs of a pass, and what brings each to its first loss: `factors`."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self.factors: dict[str, float] = {}
        self.judged: set[str] = set()  # those that a loss or the caller reads as they are
        self._logits: dict[str, Logits] = {}
        self._unreached: dict[str, tuple[float, float]] = {}
        self._last: tuple[torch.Tensor, tuple[object, ...], float] | None = None

    def meet(self, entry: PlanEntry, made: torch.Tensor, second: float) -> None:
        """What a read-out makes, at its first use; where next to nothing reaches it, rules say what that is to be."""
        if second < NOTHING and entry.name in self.targets.behind:
            meant = (entry.predicted or 1.0) * entry.correction**2
            self.factors[entry.name] = factor = factor_by_rule(entry, self.targets, meant)
            self._unreached[entry.name] = second, meant * factor**2
            return
        most, shrunk = _room(entry, self.targets, second)
        logits = Logits(made.shape, feature_axis(made, entry), second, most, shrunk)
        self._logits[entry.name] = logits
        self.factors[entry.name] = self._to_first_loss(made, logits, logits.axis)

    def read(self, tensor: torch.Tensor, names: Iterable[str]) -> None:
        """What a loss or the caller reads, and which weights it is proportional to."""
        for name in frozenset(names) & self._logits.keys():
            factor = self._factor(tensor, self._logits[name])
            if factor is not None:
                self.factors[name] = factor
                self.judged.add(name)

    def end(self, output: torch.Tensor, names: Iterable[str]) -> None:
        """What the model returns; what one read-out alone made in steps, as of a spiking state, is judged as that.

        It grows no faster than the read-out does, which is made no larger by it.
        """
        self.read(output, names)
        for name in self.targets.alone & self._logits.keys() - frozenset(names):
            factor = self._factor(output, self._logits[name])
            if factor is not None:
                self.factors[name] = min(self.factors[name], factor)

    def mapped(self, names: Iterable[str], made: Any, axis: int) -> None:
        """What a fixed linear map makes of read-outs: where it makes other features, their answers lie along these.

        Args:
            names: the read-outs that it is proportional to.
            made: what the map makes.
            axis: the axis of its features.
        """
        for name in frozenset(names) & self._logits.keys() if isinstance(made, torch.Tensor) else ():
            before = self._logits[name]
            kept = before.axis < made.dim() and made.shape[before.axis] == before.shape[before.axis]
            self._logits[name] = replace(before, shape=made.shape, axis=before.axis if kept else axis)
            self.factors[name] = self._to_first_loss(made, self._logits[name], self._logits[name].axis)

    def seconds(self, name: str) -> tuple[float, float]:
        """The second moment of a read-out's logits, and what it is to be."""
        if name in self._unreached:
            return self._unreached[name]
        second = self._logits[name].second
        return second, second * self.factors[name] ** 2

    def shrunk(self, name: str) -> bool:
        return name in self._logits and self._logits[name].shrunk

    def _factor(self, tensor: torch.Tensor, logits: Logits) -> float | None:
        found = logits.of(dense(tensor))
        return None if found is None else self._to_first_loss(found[0], logits, found[1])

    def _to_first_loss(self, tensor: torch.Tensor, logits: Logits, axis: int) -> float:
        axis = axis - tensor.dim() if axis >= 0 else axis
        if logits.shrunk:
            return _to_unit(tensor, axis, logits.most)
        excess = self.targets.excess_of(tensor.shape[axis])
        asked = -1 if tensor.is_inference() else tensor._version, axis, excess, logits.most
        if self._last is None or self._last[0] is not tensor or self._last[1] != asked:
            self._last = tensor, asked, head_factor(tensor, axis, excess, logits.most)
        return self._last[2]  # what a read-out makes is read by a loss too, and returned


def faint(entries: Iterable[PlanEntry]) -> Iterator[str]:
    """What to say of read-outs that give next to nothing though they were made as much larger as they may be."""
    for entry in entries:
        before, after = entry.measured or (0.0, 0.0)
        if 0 < after < FAINT and after >= 0.99 * MOST**2 * before:
            yield (
                f"{entry.name} gives next to nothing, rms {format_number(math.sqrt(after))}: what reaches it "
                "is as faint, as behind scales that are kept and far too small"
            )


def factor_by_rule(entry: PlanEntry, targets: Targets, second: float) -> float:
    """What brings a read-out to its first loss where rules alone say how large its logits are: as Gaussian ones.

    Args:
        entry: the read-out's.
        targets: what outputs are to be like.
        second: the second moment of its logits by its law.
    """
    most, shrunk = _room(entry, targets, second)
    if shrunk:
        return rounded(min(most, 1 / math.sqrt(second)))
    classes = entry.shape[0] if entry.geometry is None else entry.geometry.shape[entry.geometry.out_axis]
    generator = torch.Generator(device="cpu").manual_seed(0)
    rows = torch.randn(max(16, 4096 // classes), classes, generator=generator, device="cpu")
    return head_factor(rows * math.sqrt(second), -1, targets.excess_of(classes), most)


def _room(entry: PlanEntry, targets: Targets, second: float) -> tuple[float, bool]:
    """What the std of a read-out may grow by, and whether a constant before a tied one shrinks its logits."""
    both = entry.name in targets.sizing_themselves  # a larger table would make what it reads larger, too
    most = 1.0 if second == 0 or second > FAINT or both else min(MOST, 1 / math.sqrt(second))
    tied = entry.name in targets.ties and not both
    if entry.std and tied:
        most = max(1.0, 1 / entry.std)
    return most, tied and _is_shrunk(second, entry)


@of_whole
def _to_unit(logits: torch.Tensor, axis: int, most: float) -> float:
    return rounded(min(most, 1 / math.sqrt(float(logits.var(axis).mean()))))


def _is_shrunk(second: float, entry: PlanEntry) -> bool:
    """Whether what a tied head reads is far smaller than a norm's output, by a constant: T5's 1/√d.

    The rows of such a table have to be as much larger before the logits that they can make tell classes apart, and an
    optimizer moves them no faster: it begins at logits of unit variance, which cost 1/2 above ln C at first, since with
    the usual bound it trains worse.
    """
    return bool(entry.std) and second / (entry.shape[-1] * (entry.std or 1.0) ** 2) < SHRUNK


@of_whole
def head_factor(logits: torch.Tensor, axis: int, excess: float, most: float = 1.0) -> float:
    """The largest s ≤ `most` with E[logsumexp(s·z) − mean(s·z)] ≤ (1 + excess)·ln C: the first loss by chance labels.

    A single logit stands beside 0, which is what a sigmoid makes of it; where it is no logit but a number that is
    learned, a small one begins at the loss of a constant answer.

    Args:
        logits: what the head gives; classes along `axis`.
        axis: the axis of the classes.
        excess: how far above ln C the first loss may lie, as a share of ln C.
        most: the largest factor; a table that is also the head may grow, where a constant before the head shrinks it.
    """
    rows = logits.detach().movedim(axis, -1).reshape(-1, logits.shape[axis])
    rows = _some(rows, min(ROWS, max(16, LOGITS // logits.shape[axis])))
    rows = doubled(rows[rows.isfinite().all(-1)])
    if rows.shape[-1] == 1:
        rows = torch.nn.functional.pad(rows, (0, 1))
    classes = rows.shape[-1]
    if classes < 2 or not len(rows):
        return 1.0

    means = rows.mean(-1)

    def loss(scale: float) -> float:
        return float((torch.logsumexp(scale * rows, -1) - scale * means).mean())

    bound, above = (1 + excess) * math.log(classes), loss(1.0) / math.log(classes) - 1
    if loss(most) <= bound:
        return rounded(most)
    if 0.2 * excess <= above <= 1.3 * excess:
        return 1.0  # near enough: the law stays as derived
    low, high = 0.0, most
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle) <= bound else (low, middle)
    return rounded(low)


def _some(rows: torch.Tensor, count: int) -> torch.Tensor:
    """Rows drawn by chance where there are many: every n-th would be one column of pictures that are n wide."""
    if len(rows) < 2 * count:
        return rows
    generator = torch.Generator(device="cpu").manual_seed(0)
    drawn = torch.randint(len(rows), (count,), generator=generator, device="cpu")
    return rows[drawn.to(rows.device)]
