"""What an engine is: it opens a session over runs, and the session trains, measures and lets go of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from initlab.training.task import Progress, RunSpec, Task

Score = tuple[float, float | None]


class Session(Protocol):
    """Runs in training. A run is live until it is dropped, has diverged, or has done `task.steps` steps."""

    @property
    def live(self) -> tuple[str, ...]:
        """Keys of the runs that `advance` would train further."""

    @property
    def choice(self) -> str:
        """One line for the reader: how these runs are trained and, where it was measured, why."""

    @property
    def plan(self) -> str:
        """What `get_engine` takes to train so again without measuring, such as "processes:stacked:4"."""

    def advance(self, steps: int) -> dict[str, Progress]:
        """Train every live run by `steps` steps (fewer where `task.steps` is nearer); only those runs are returned.

        Results do not depend on how the steps of a run are cut into calls.
        """

    def evaluate(self, which: str = "test") -> Mapping[str, Score]:
        """(mean loss, accuracy) of every run on "test" or "valid", in evaluation mode.

        The accuracy is None where targets are not classes. A run that diverged scores (nan, nan or None).
        """

    def drop(self, keys: Iterable[str]) -> None:
        """Forget these runs and free what they hold; an unknown key is no error."""

    def add(self, specs: Sequence[RunSpec]) -> None:
        """Take in new runs, which begin at step 0."""

    def close(self) -> None:
        """Free everything; end worker processes. Safe to call twice and after KeyboardInterrupt."""


class Engine(Protocol):
    """A way of training many runs. Engines agree with one another to rounding."""

    @property
    def name(self) -> str:
        """The word by which `compare(engine=...)` names it."""

    def open(self, task: Task, specs: Sequence[RunSpec]) -> Session:
        """Build and initialize the runs, ready to advance.

        Raises:
            InputError: two runs with one key; a model, loss or data that do not go together.
        """
