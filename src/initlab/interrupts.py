"""Ctrl-C at a safe point: not in the midst of a database's transaction, never lost, and never later than a second.

Python raises KeyboardInterrupt wherever the main thread happens to be. In the callback of a weak reference or in a
`__del__` it is printed and forgotten; inside a transaction it leaves a connection in doubt. So a study notes it, and
`check` raises it between two steps or batches, or while workers compute; where no check comes within `GRACE` seconds
it is raised anyway, and once more if it was lost.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from initlab.errors import InterruptedInitError

GRACE = 1.0
# What an interrupt can arrive as: `init_` says which weights it had written.
INTERRUPTIONS = (KeyboardInterrupt, InterruptedInitError)


class _Held:
    """The interrupt that has been noted and not been dealt with, and the timer that insists on it."""

    def __init__(self) -> None:
        self.noted = False
        self.shields = 0
        self._timer: threading.Timer | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        insisted, self.noted = self.noted, True
        self.insist_after(GRACE)
        if insisted and not self.shields:
            raise KeyboardInterrupt

    def insist_after(self, seconds: float) -> None:
        self.stop_timer()
        self._timer = threading.Timer(seconds, _insist)
        self._timer.daemon = True
        self._timer.start()

    def swallowed(self, unraisable: Any) -> None:
        """What python would print and forget: an interrupt comes again instead, as soon as the finalizer is over."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self.noted = True
            self.insist_after(GRACE / 20)
        else:
            sys.__unraisablehook__(unraisable)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_held: list[_Held] = []


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Within it, Ctrl-C waits for `check`.

    Nothing changes outside the main thread, where none arrives, nor where the caller has a handler of their own.
    """
    ours = threading.current_thread() is threading.main_thread() and not _held
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    here = _Held()
    _held.append(here)
    signal.signal(signal.SIGINT, here.note)
    hook, sys.unraisablehook = sys.unraisablehook, here.swallowed
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _held.remove(here)
        here.stop_timer()


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Within it, a second Ctrl-C and the insisting wait as well: for a database's transaction.

    A transaction that is broken off can leave its connection with the write lock, and this very process waiting.
    """
    here = _held[-1] if _held else None
    if here is None:
        yield
        return
    here.shields += 1
    try:
        yield
    finally:
        here.shields -= 1


def check() -> None:
    """Raise the KeyboardInterrupt that was noted; to be called where stopping leaves everything in order."""
    if _held and _held[-1].noted:
        raise KeyboardInterrupt


def acknowledge() -> None:
    """The interrupt has arrived: what follows is the tidying up, which only another one may disturb."""
    if _held:
        _held[-1].stop_timer()
        _held[-1].noted = False


def _insist() -> None:
    """Interrupt the main thread once more, also where it waits in a system call."""
    if not _held:
        return
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
