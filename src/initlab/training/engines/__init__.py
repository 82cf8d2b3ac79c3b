"""Ways of training many runs: one after another, stacked into one computation, in worker processes, or the fastest."""

from collections.abc import Callable
from concurrent.futures import Executor

from initlab.errors import text, unknown
from initlab.training.engines.auto import AutoEngine, WorkersEngine
from initlab.training.engines.base import Engine, Score, Session
from initlab.training.engines.executors import ExecutorEngine, checked_executor
from initlab.training.engines.processes import ProcessEngine, WorkerDied, inner_engine
from initlab.training.engines.sequential import SequentialEngine
from initlab.training.engines.stacked import StackedEngine
from initlab.training.sources import InMemory, Source, Streamed

# The word by which `compare(engine=...)` names an engine -> what makes it. A new engine is one entry here.
ENGINES: dict[str, Callable[[], Engine]] = {
    "auto": AutoEngine,
    "sequential": SequentialEngine,
    "stacked": StackedEngine,
    "processes": WorkersEngine,
}


def get_engine(name: str = "auto") -> Engine:
    """The engine called `name`: a word of `ENGINES`, or the `plan` of a session, which settles what was measured.

    >>> get_engine("sequential").name
    'sequential'
    >>> get_engine("processes:stacked:4").inner.split
    4

    Raises:
        InputError: no engine has this name.
    """
    kind, _, detail = text(name).partition(":")
    if kind not in ENGINES or (kind == "auto" and detail):
        raise unknown("engine", name, ENGINES)
    if not detail:
        return ENGINES[kind]()
    return ProcessEngine(detail) if kind == "processes" else inner_engine(name)


def engine_of(name: str, executor: Executor | None, most: int | None = None) -> Engine:
    """The engine called `name`, or one that trains so in the workers of `executor`, at most `most` runs in a part."""
    if executor is None:
        return get_engine(name)
    name = name.removeprefix("processes:")  # what a study was trained with when it had no executor
    return ExecutorEngine(executor, AutoEngine(workers=False) if name == "auto" else get_engine(name), most)


__all__ = [
    "ENGINES",
    "AutoEngine",
    "Engine",
    "ExecutorEngine",
    "InMemory",
    "ProcessEngine",
    "Score",
    "SequentialEngine",
    "Session",
    "Source",
    "StackedEngine",
    "Streamed",
    "WorkerDied",
    "WorkersEngine",
    "checked_executor",
    "engine_of",
    "get_engine",
]
