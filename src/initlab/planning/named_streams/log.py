"""The log of a start: what was called on each parameter, in order, and what it then held."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from initlab.errors import InputError, path_of
from initlab.planning.by_name import ByName
from initlab.reporting import Shown

Status = Literal["drawn", "written", "untouched"]


@dataclass(frozen=True)
class StreamRecord:
    """One parameter or buffer.

    Args:
        name: its canonical name.
        shape: its global shape.
        dtype: "float32", "bfloat16", …
        status: "drawn" from its stream, "written" without a draw (zeros, ones, a copy), or "untouched".
        calls: the operations on it, in order.
        draws: how many of them were random.
        law: the law that its values look drawn from.
        mean, std: of its values.
        bytes: memory that this process drew for it.
        whole: operations that had to be made whole on each process.
        buffer: whether it is a buffer.
        overwritten: whether a constant was written over what was drawn.
        redrawn: whether values were drawn by different calls, the second on top of the first.
        cuts: (call, how many std the nearer end lies from the mean) of each truncated normal.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    status: Status
    calls: tuple[str, ...]
    draws: int
    law: str
    mean: float
    std: float
    bytes: int
    whole: tuple[str, ...] = ()
    buffer: bool = False
    overwritten: bool = False
    redrawn: bool = False
    cuts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Difference:
    """One thing that two logs say differently of a parameter."""

    name: str
    what: str
    one: str
    other: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what} {self.one} → {self.other}"


@dataclass(repr=False)
class StreamLog(Shown, ByName[StreamRecord]):
    """What `initlab.streams` saw. It is filled when the block ends.

    Args:
        seed: the root seed.
        model: the model's type.
        records: one for each parameter, and for each buffer that was drawn, in order.
        elsewhere: draws that were not the model's, which torch's own generator gave.
        notes: what the user should know.
    """

    seed: int
    model: str = ""
    records: tuple[StreamRecord, ...] = ()
    elsewhere: int = 0
    notes: tuple[str, ...] = ()

    def fill(self, records: Iterable[StreamRecord], elsewhere: int, notes: Iterable[str]) -> None:
        """Take what was seen."""
        self.records, self.elsewhere, self.notes = tuple(records), elsewhere, tuple(notes)

    def rows(self) -> tuple[StreamRecord, ...]:
        """The records."""
        return self.records

    @property
    def missed(self) -> tuple[str, ...]:
        """The parameters that nothing was written into."""
        return tuple(record.name for record in self.records if record.status == "untouched")

    def diff(self, other: StreamLog) -> tuple[Difference, ...]:
        """What another log says differently, parameter by parameter: presence, shape, calls, law."""
        if not isinstance(other, StreamLog):
            raise InputError(f"other must be a StreamLog; got {type(other).__name__}")
        found = []
        theirs = {record.name: record for record in other.records}
        for record in self.records:
            match = theirs.pop(record.name, None)
            if match is None:
                found.append(Difference(record.name, "is", "there", "not there"))
                continue
            for what in ("shape", "dtype", "status", "calls", "law"):
                one, two = getattr(record, what), getattr(match, what)
                if one != two:
                    found.append(Difference(record.name, what, _words(one), _words(two)))
        found.extend(Difference(name, "is", "not there", "there") for name in theirs)
        return tuple(found)


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def to_dict(log: StreamLog) -> dict[str, Any]:
    """Everything for machines; `read_log` takes it back."""
    return {
        "kind": "initlab streams",
        "seed": log.seed,
        "model": log.model,
        "elsewhere": log.elsewhere,
        "notes": log.notes,
        "parameters": [asdict(record) for record in log.records],
    }


def read_log(path: str | os.PathLike[str]) -> StreamLog:
    """A log that was saved as JSON.

    Raises:
        InputError: a file that is not there, or holds no log.
    """
    place = path_of("path", path)
    try:
        data = json.loads(place.read_text(encoding="utf-8"))
        log = StreamLog(int(data["seed"]), str(data["model"]))
        log.fill([_record(row) for row in data["parameters"]], int(data["elsewhere"]), map(str, data["notes"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = type(error).__name__
        raise InputError(f"{os.fspath(place)!r:.200} holds no log of initlab.streams ({why})") from None
    return log


def _record(row: dict[str, Any]) -> StreamRecord:
    made = {**row, "shape": tuple(row["shape"]), "calls": tuple(row["calls"]), "whole": tuple(row["whole"])}
    made["cuts"] = tuple((str(call), float(reach)) for call, reach in row.get("cuts", ()))
    return StreamRecord(**{**made, "mean": float(row["mean"]), "std": float(row["std"])})
