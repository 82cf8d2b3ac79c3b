"""Ctrl-C held back while one parameter is written, so that it lands between two writes."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class HeldInterrupts:
    """Within it, an interrupt is noted; `check` delivers it. Outside the main thread nothing is held, as none arrives.

    Drawing runs on several threads: an interrupt in the midst of it could come back to the caller before they are done.
    """

    def __init__(self) -> None:
        self._old: Any = None
        self._noted: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> HeldInterrupts:
        if threading.current_thread() is threading.main_thread():
            old = signal.getsignal(signal.SIGINT)
            if callable(old):
                self._old = old
                signal.signal(signal.SIGINT, self._note)
        return self

    def check(self) -> None:
        """Hand a noted interrupt to the handler that was there before; Python's own raises KeyboardInterrupt."""
        if self._noted is not None:
            noted, self._noted = self._noted, None
            self._old(*noted)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
        if error is None:
            self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = (number, frame)
