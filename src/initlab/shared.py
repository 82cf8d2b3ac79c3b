"""Settings of the whole process that are in force while any thread is within, as those of BLAS and of the collector."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class Shared:
    """A setting that the first thread to enter makes, and the last to leave takes back.

    Args:
        make: makes the setting; returns what takes it back.

    >>> setting = Shared(lambda: print("made") or (lambda: print("taken back")))
    >>> with setting.held(), setting.held():
    ...     print("within")
    made
    within
    taken back
    """

    def __init__(self, make: Callable[[], Callable[[], object]]) -> None:
        self._make, self._lock, self._within = make, threading.Lock(), 0
        self._take_back: Callable[[], object] = make

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The setting is in force within."""
        with self._lock:
            if not self._within:
                self._take_back = self._make()
            self._within += 1
        try:
            yield
        finally:
            with self._lock:
                self._within -= 1
                if not self._within:
                    self._take_back()
