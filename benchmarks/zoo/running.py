"""One model after another, each with its time, its line kept, the next run going on where this one stops."""

from __future__ import annotations

import os
import signal
import subprocess
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from benchmarks._lines import Lines


class Named(Protocol):
    """What a run goes through: models, or trainings of them."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)


class TooLong(BaseException):
    """A model that took longer than it may: no `except Exception` of a library's holds it up."""


def _stop(*_: Any) -> None:
    raise TooLong


def each(
    families: Iterable[Item],
    lines: Lines,
    parts: list[str],
    measure: Callable[[Item], dict[str, Any]],
    seconds: int,
) -> None:
    """Measure the families that are not kept yet and whose names begin with one of `parts`, if there are any.

    A line that says `failed` tells of a model that could not be built or did not end; `raised`, of a fault of ours.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.filterwarnings("ignore")
    signal.signal(signal.SIGALRM, _stop)
    commit = _commit()
    for family in families:
        if lines.has(family.name) or (parts and not family.name.startswith(tuple(parts))):
            continue
        signal.alarm(seconds)
        try:
            line = measure(family)
        except TooLong:
            line = {"name": family.name, "failed": f"more than {seconds} s"}
        except Exception as error:  # whatever a library's model meets in our hands
            line = {"name": family.name, "raised": f"{type(error).__name__}: {error}"[:300]}
        finally:
            signal.alarm(0)
        lines.add({**line, "commit": commit})


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def share(values: Iterable[bool]) -> str:
    """How many of how many, as in `3 of 4 (75.0%)`."""
    found = list(values)
    return f"{sum(found)} of {len(found)} ({sum(found) / max(1, len(found)):.1%})"
