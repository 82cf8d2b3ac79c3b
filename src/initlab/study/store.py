"""Where runs are kept while a study goes on: the interface, and memory as the plainest of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar


class Record(Protocol):
    """What is kept of a run that has ended."""

    @property
    def key(self) -> str:
        """Names the run within its study."""

    def to_dict(self) -> dict[str, Any]:
        """The record in what JSON holds."""


R = TypeVar("R", bound=Record)


class Store(Protocol[R]):
    """Keeps the runs of one study, and says who trains what."""

    def ended(self) -> dict[str, R]:
        """Every run that has ended, by key."""

    def claim(self, keys: Sequence[str], most: int) -> list[str]:
        """Up to `most` of `keys`, in their order, that are now this worker's to train; none of them ended."""

    def propose(self, key: str, choices: Mapping[str, Any]) -> None:
        """Keep what a claimed run is trained with, so that whoever takes it up again trains the same."""

    def proposal(self, key: str) -> dict[str, Any] | None:
        """What `propose` kept of a claimed run."""

    def put(self, records: Iterable[R]) -> None:
        """Keep these ended runs."""

    def release(self, keys: Iterable[str]) -> None:
        """Give claimed runs back untrained."""

    def beat(self) -> None:
        """This worker is alive; may be called often."""

    def remember(self, name: str, value: str) -> None:
        """Keep a word of the study, if it has none under this name yet."""

    def recall(self, name: str) -> str | None:
        """The word that `remember` kept."""

    def close(self) -> None:
        """Leave the study and let go of connections. Safe to call twice."""


class MemoryStore(Generic[R]):
    """Keeps runs for the length of one call; one worker."""

    def __init__(self) -> None:
        self._ended: dict[str, R] = {}
        self._claimed: set[str] = set()
        self._proposals: dict[str, dict[str, Any]] = {}
        self._words: dict[str, str] = {}

    def ended(self) -> dict[str, R]:
        return dict(self._ended)

    def claim(self, keys: Sequence[str], most: int) -> list[str]:
        mine = [key for key in keys if key not in self._ended and key not in self._claimed][:most]
        self._claimed.update(mine)
        return mine

    def propose(self, key: str, choices: Mapping[str, Any]) -> None:
        self._proposals[key] = dict(choices)

    def proposal(self, key: str) -> dict[str, Any] | None:
        return self._proposals.get(key)

    def put(self, records: Iterable[R]) -> None:
        for record in records:
            if record.key in self._claimed:
                self._ended[record.key] = record
                self._claimed.remove(record.key)

    def release(self, keys: Iterable[str]) -> None:
        self._claimed.difference_update(keys)

    def beat(self) -> None: ...

    def remember(self, name: str, value: str) -> None:
        self._words.setdefault(name, value)

    def recall(self, name: str) -> str | None:
        return self._words.get(name)

    def close(self) -> None: ...
