"""Where runs are kept while a study goes on: the interface, and memory as the plainest of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from initlab.training.records import RunRecord


class Store(Protocol):
    """Keeps the ended runs of one study, and says who trains what."""

    def ended(self) -> dict[str, RunRecord]:
        """Every run that has ended, by key."""

    def claim(self, keys: Sequence[str], most: int) -> list[str]:
        """Up to `most` of `keys`, in their order, that are now this worker's to train; none of them ended."""

    def put(self, records: Iterable[RunRecord]) -> None:
        """Keep these ended runs."""

    def release(self, keys: Iterable[str]) -> None:
        """Give claimed runs back untrained."""

    def beat(self) -> None:
        """This worker is alive; called a few times a second."""

    def remember(self, name: str, value: str) -> None:
        """Keep a word of the study, if it has none under this name yet."""

    def recall(self, name: str) -> str | None:
        """The word that `remember` kept."""

    def close(self) -> None:
        """Let go of connections. Safe to call twice."""


class MemoryStore:
    """Keeps runs for the length of one call; one worker."""

    def __init__(self) -> None:
        self._ended: dict[str, RunRecord] = {}
        self._words: dict[str, str] = {}

    def ended(self) -> dict[str, RunRecord]:
        return dict(self._ended)

    def claim(self, keys: Sequence[str], most: int) -> list[str]:
        return [key for key in keys if key not in self._ended][:most]

    def put(self, records: Iterable[RunRecord]) -> None:
        self._ended.update({record.key: record for record in records})

    def release(self, keys: Iterable[str]) -> None: ...

    def beat(self) -> None: ...

    def remember(self, name: str, value: str) -> None:
        self._words.setdefault(name, value)

    def recall(self, name: str) -> str | None:
        return self._words.get(name)

    def close(self) -> None: ...
