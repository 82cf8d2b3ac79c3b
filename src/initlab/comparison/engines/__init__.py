"""Ways of training many runs: one after another, stacked into one computation, in worker processes, or the fastest."""

from collections.abc import Callable

from initlab.comparison.engines.base import Engine, Score, Session
from initlab.comparison.engines.batches import InMemory, Source, Streamed
from initlab.comparison.engines.sequential import SequentialEngine
from initlab.errors import unknown

# The word by which `compare(engine=...)` names an engine -> what makes it. A new engine is one entry here.
ENGINES: dict[str, Callable[[], Engine]] = {"auto": SequentialEngine, "sequential": SequentialEngine}


def get_engine(name: str = "auto") -> Engine:
    """The engine called `name`.

    >>> get_engine("sequential").name
    'sequential'

    Raises:
        InputError: no engine has this name.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]()


__all__ = ["ENGINES", "Engine", "InMemory", "Score", "SequentialEngine", "Session", "Source", "Streamed", "get_engine"]
