"""The parts that a study's runs are cut into for workers: what each holds, and how they are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from initlab.training.batches import order_seed
from initlab.training.engines.base import Engine
from initlab.training.engines.pool import LocalWorker
from initlab.training.engines.worker import Request
from initlab.training.task import RunSpec, Task


@dataclass
class Part:
    """Some runs, which one worker at a time holds.

    Args:
        number: names the part.
        engine: trains it.
        specs: its runs as they began.
        keys: its runs that have not been dropped.
        live: those of them that train on.
        worker: this machine's worker that holds it; None for those of an executor.
        done: the requests that have changed it.
        later: requests that can wait for the next order.
        state: where workers send it back: the session as it is.
        tries: how often the request at hand has been sent.
    """

    number: int
    engine: Engine
    specs: Sequence[RunSpec]
    keys: list[str]
    live: set[str]
    worker: LocalWorker | None
    done: tuple[Request, ...] = ()
    later: tuple[Request, ...] = ()
    state: bytes | None = None
    tries: int = field(default=0, compare=False)


def shares(task: Task, specs: Sequence[RunSpec], workers: int) -> list[list[int]]:
    """Places of `specs` cut into near-equal parts, one for each worker; runs with one data order stay together."""
    first: dict[int, int] = {}
    for place, spec in enumerate(specs):
        first.setdefault(order_seed(task, spec), place)
    places = sorted(range(len(specs)), key=lambda place: first[order_seed(task, specs[place])])
    parts = min(workers, len(places))
    return [places[i * len(places) // parts : (i + 1) * len(places) // parts] for i in range(parts)]


def few(keys: Sequence[str]) -> str:
    """The first of some runs' keys, for a message."""
    return ", ".join(map(repr, keys[:3])) + (", …" if len(keys) > 3 else "")
