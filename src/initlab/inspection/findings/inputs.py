"""The values that the model reads: far from size one, hardly different between samples, or on scales far apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from initlab.graph.operations import TABLE
from initlab.guest.doubles import doubled, doubles_at
from initlab.guest.inputs import tensors_in
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind, advised
from initlab.inspection.recorder import Record, is_plain
from initlab.inspection.remedy import STANDARDIZED, Remedy, standardized
from initlab.inspection.results import Finding
from initlab.inspection.squares import borne, square_of
from initlab.inspection.trials import Change, tried
from initlab.reporting.status import Severity

Tensor = torch.Tensor

LARGE, SMALL = 10.0, 0.02  # rms of the values that are not zero, beyond which they are not of the size one
OFFSET = 1e-2  # variance about each feature's mean over the second moment, under which samples hardly differ
DROWNED = 0.1  # second moment of what a norm gives over its weight's square, under which its eps drowns what it reads
FAINT = 1e-5  # share of what a norm gives by which samples differ, under which the inputs were drowned before it
NEAR = 10.0  # how far the rms of what is added to a matrix may lie from the inputs' own, if it is to be them
APART = 1e3  # rms of the largest feature over that of the smallest
ENOUGH = 16  # samples from which a table's columns are judged
MUCH = 0.3  # decrease of the lowest loss along the first step from which other inputs are better by what they are
SPARSE = 1 / 3  # share of zeros from which a column of zeros is one of many
STANDARDIZE = "Standardize the inputs: take off each feature's mean and divide by its standard deviation"


@dataclass(frozen=True)
class _Read:
    """What a weight reads of the inputs: rms over what is not zero, of the values themselves and about their means."""

    record: Record
    rms: float
    share: float | None


def _size(e: Evidence) -> Finding | None:
    off = [read for read in _reads(e) if not SMALL <= read.rms <= LARGE and not _masks(e, read)]
    if not off:
        return None
    worst = max(off, key=lambda read: abs(math.log(read.rms)))
    size = "large" if worst.rms > LARGE else "small"
    if not any(_outside(table) == size for table in _given(e)):
        return None  # the inputs have their usual size: the model's own code makes others of them
    evidence = f"{_name(e, worst.record)} reads values of rms {worst.rms:.3g} from them, far too {size}"
    return Finding("inputs", _severity(e, worst.record), "inputs", evidence, STANDARDIZE)


def _masks(e: Evidence, read: _Read) -> bool:
    """Whether what is added to a matrix is not the inputs, but what code makes of them: −10⁹ where a mask has a 0."""
    if TABLE.named(read.record.kind).combines != "sum":
        return False
    return not any(read.rms / NEAR <= _rms(table) <= read.rms * NEAR for table in _given(e))


def _drowned(e: Evidence) -> Finding | None:
    """A norm reads the inputs themselves, and what keeps it from dividing by zero is larger than they are."""
    for record in e.seen.records:
        if record.origin < 0 and _within_eps(e, record) and any(_outside(table) == "small" for table in _given(e)):
            second = record.moments.second_moment
            evidence = f"{_name(e, record)} makes values of rms {math.sqrt(second):.3g} of them: its eps drowns them"
            return Finding("inputs", "warning", "inputs", evidence, STANDARDIZE)
    return None


def _within_eps(e: Evidence, record: Record) -> bool:
    """Whether a norm gives far less than its weight, as it does where its eps is larger than the variance it reads."""
    if not record.norm:
        return False
    scale = next((p.rms for p in e.parameters if p.name == record.scale), 1.0)
    return record.moments.second_moment < DROWNED * scale**2


def _carried(e: Evidence) -> Finding | None:
    """Values of an unusual size that no weight reads so, and that reach the output all the same: found by trying.

    A model that normalizes each sample by itself is silent where it leaves the size out, and is told where it puts the
    size back on what it answers.
    """
    off = [size for table in _given(e) if table.is_floating_point() and (size := _outside(table))]
    if not off:
        return None
    trial = tried(e, Change("the inputs standardized", inputs=standardized))
    if trial is None or trial.gain < MUCH or any(read.rms < SMALL for read in _reads(trial.evidence)):
        return None  # code that divides by their size, as by 255, would leave nothing of them
    evidence = f"they are far too {off[0]}; with {trial.change.words} the lowest loss along the first step is "
    return Finding("inputs", "warning", "inputs", f"{evidence}{trial.lowest:.4g}, now {trial.before:.4g}", STANDARDIZE)


def _given(e: Evidence) -> list[Tensor]:
    """The batch's tensors; targets that the model itself takes are none of them."""
    return [table.detach() for table in tensors_in(e.inputs) if table is not e.own_targets]


def _outside(table: Tensor) -> str:
    """Which side of the usual size values that are not zero lie on; "" for neither."""
    rms = _rms(table)
    return "" if SMALL <= rms <= LARGE else "large" if rms > LARGE else "small"


def _rms(table: Tensor) -> float:
    """The rms of what is not zero; 1 where there is nothing of the kind."""
    if not is_plain(table) or table.dtype == torch.bool or table.is_complex():
        return 1.0
    filled = int(torch.count_nonzero(table))
    numbers = table.detach().to(torch.promote_types(table.dtype, torch.float32))
    return math.sqrt(float(square_of(numbers)) / filled) if filled else 1.0


def _same(e: Evidence) -> Finding | None:
    """One sample many times, with targets that differ: a constant answer is the best there is."""
    targets = e.own_targets
    if not e.alike or not isinstance(targets, Tensor) or targets.layout != torch.strided or targets.ndim == 0:
        return None
    if targets.shape[0] != e.batch or bool((targets == targets[:1]).all()):
        return None
    evidence = f"all {e.batch} samples are the same, but their targets differ: no answer fits them"
    return Finding(
        "inputs", "warning", "inputs", evidence, "Give a batch whose samples differ; look at what loads them"
    )


def _offset(e: Evidence) -> Finding | None:
    for read in _reads(e):
        if e.batch is not None and e.batch >= ENOUGH and not e.alike and (read.share or 1.0) < OFFSET:
            evidence = f"what differs in them is {read.share:.1e} of their second moment: the means drown it"
            return Finding("inputs", "info", "inputs", evidence, STANDARDIZE)
    return None


def _reads(e: Evidence) -> list[_Read]:
    """Every matrix that multiplies the inputs themselves, or what code without parameters makes of them."""
    shapes = {p.name: p.shape for p in e.parameters}
    found = []
    for record in e.seen.records:
        matrix = any(len(shapes.get(name, ())) > 1 for name in record.parameters)
        if record.origin >= 0 or not matrix or TABLE.named(record.kind).rows or not record.input_second:
            continue
        filled = record.input_filled or 1.0
        found.append(_Read(record, math.sqrt(record.input_second / filled), record.input_row_share))
    return found


def _severity(e: Evidence, record: Record) -> Severity:
    """A norm that follows at once takes the size away, unless its eps, or a position added, drowns them."""
    following = [r for r in e.seen.records if r.origin == record.index]
    taken = following and all(
        r.norm and not _within_eps(e, r) and (r.moments.between or 1.0) > FAINT for r in following
    )
    return "info" if taken else "warning"


def _name(e: Evidence, record: Record) -> str:
    return e.layers[record.index].name


def _tables(e: Evidence) -> Iterator[Tensor]:
    """Those whose columns are judged."""
    for table in _given(e):
        if table.ndim != 2 or not table.is_floating_point() or not is_plain(table) or table.shape[1] < 2:
            continue
        if table.shape[0] >= ENOUGH and table.shape[0] == e.batch and not e.alike:
            yield table


def _scales(e: Evidence) -> Finding | None:
    """Columns on scales far apart, which no norm takes away."""
    if any(r.origin < 0 and r.norm for r in e.seen.records):
        return None
    told = next((told for table in _tables(e) if (told := _apart(table)) is not None), None)
    return None if told is None else Finding("inputs", "info", "inputs", told, STANDARDIZE)


def _needless(e: Evidence) -> Finding | None:
    """Columns that are the same in every row, or equal to another."""
    told = next((told for table in _tables(e) if (told := _constant(table) or _equal(table)) is not None), None)
    return None if told is None else Finding("inputs", "info", "inputs", *told)


def _apart(table: Tensor) -> str | None:
    rms = _second(table).sqrt()
    used = torch.nonzero(rms > 0).flatten()
    if used.numel() < 2:
        return None
    low, high = used[rms[used].argmin()], used[rms[used].argmax()]
    if float(rms[high]) < APART * float(rms[low]) or _sparse(table):
        return None
    return f"column {int(high)} has rms {float(rms[high]):.3g}, column {int(low)} {float(rms[low]):.3g}"


def _second(table: Tensor) -> Tensor:
    """The second moment of each column."""
    found = table.square().mean(0)
    low, high = float(found.min()), float(found.max())
    return found if borne(low, 1) and borne(high, 1) else doubled(table).square().mean(0)


def _constant(table: Tensor) -> tuple[str, str] | None:
    if not bool((table[:ENOUGH] == table[:1]).all(0).any()):
        return None
    same = (table == table[:1]).all(0)
    if _sparse(table):
        same &= table[0] != 0
    same &= ~_background(table[0], same)
    count = int(same.sum())
    if count == 0:
        return None
    return f"{_which(same)} the same in every sample", "Leave such features out: they act as a second bias"


def _background(row: Tensor, same: Tensor) -> Tensor:
    """Which of the constant columns hold the one value that several of them share: the margin of flattened pictures."""
    values, counts = torch.unique(row[same], return_counts=True)
    if not len(counts) or int(counts.max()) < 2:
        return torch.zeros_like(same)
    shared: Tensor = row == values[counts.argmax()]
    return same & shared


def _equal(table: Tensor) -> tuple[str, str] | None:
    if not _alike(table):
        return None
    varied = torch.nonzero((table != table[:1]).any(0)).flatten()
    _, inverse, counts = torch.unique(table[:, varied].t(), dim=0, return_inverse=True, return_counts=True)
    twice = counts[inverse] > 1
    if _sparse(table) or not bool(twice.any()):
        return None
    repeated = torch.zeros(table.shape[1], dtype=torch.bool)
    repeated[varied[twice].cpu()] = True
    return f"{_which(repeated)} equal to another in every sample", "Leave copies out: they count twice"


def _alike(table: Tensor) -> bool:
    """Whether some columns may be equal: their products with a fixed vector are, to rounding."""
    rows = torch.arange(table.shape[0], dtype=torch.float64, device=doubles_at(table.device))
    products = ((rows * 0.7548776662466927) % 1.0 - 0.5).to(table) @ table
    apart = products.sort().values.diff()
    return not bool((apart > 1e-6 * products.abs().max()).all())


def _sparse(table: Tensor) -> bool:
    return 1 - int(torch.count_nonzero(table)) / table.numel() > SPARSE


def _which(columns: Tensor) -> str:
    numbers = torch.nonzero(columns).flatten().tolist()
    shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"column {shown} is" if len(numbers) == 1 else f"{len(numbers)} columns ({shown}) are"


def _standardize(e: Evidence, finding: Finding) -> Remedy:
    return Remedy(STANDARDIZE, f"{STANDARDIZED}\ninputs = standardized(inputs)", inputs=standardized)


FINDING = (
    Kind(_size, leads=True, remedy=_standardize),
    Kind(_drowned, leads=True, remedy=_standardize),
    Kind(_carried, leads=True, remedy=_standardize),
    Kind(_same, leads=True, remedy=advised),
    Kind(_offset, leads=True, remedy=_standardize),
    Kind(_scales, leads=True, remedy=_standardize),
    Kind(_needless, leads=True),
)
