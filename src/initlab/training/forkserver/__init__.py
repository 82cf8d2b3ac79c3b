"""Worker processes forked from a server that has imported what they need: they start at once and share its memory.

The server is `multiprocessing`'s fork server, one of our own beside the user's. It imports and never computes: it has
one thread, and neither autograd nor OpenMP nor CUDA has begun in it, so a fork of it is as good as a new interpreter
(ADR 0012). On Linux only: elsewhere loky spawns.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any

# One thread a worker, for libraries that read it as they are loaded.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
POLL_SECONDS = 0.05  # how long an interrupt waits at most while the server starts
# What the server imports before it forks: the module that imports the rest.
PRELOADED = [f"{__name__}.__main__"]

# Processes in which no server could be had: they spawn.
_without: set[int] = set()
# The server of each process: in a fork of this one it is not there.
_servers: dict[int, Any] = {}


def context() -> BaseContext | None:
    """What `loky` starts workers with, None where there can be no fork server: loky then has its own way."""
    return None if os.getpid() in _without else _context()


def give_up() -> bool:
    """The server did not start a worker: this process has none from now on. Whether it had one until now."""
    had = context() is not None
    _without.add(os.getpid())
    return had


def begin() -> None:
    """Have the server import in the background what workers need, where there can be one."""
    if context() is not None:
        _server()


def begun() -> bool:
    """Whether this process has a server: workers then start at once, or when it has imported the rest."""
    return context() is not None and os.getpid() in _servers


def as_started_by_parent(environment: dict[str, str]) -> None:
    """Make a worker what a new interpreter would be: with its parent's variables, and random numbers of its own."""
    # lazy: the server sets what numpy reads before it is loaded
    import numpy as np

    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    np.random.seed()  # Python seeds its own after a fork


def parent_ended() -> bool:
    """Wait until the process that asked the server for this one has ended; False, at once, if no server forked it."""
    parent = multiprocessing.parent_process()
    if parent is None or getattr(parent, "_sentinel", None) is None:
        return False
    parent.join()
    return True


if sys.platform == "linux":
    from multiprocessing import connection, popen_forkserver, process, reduction, resource_tracker, util
    from multiprocessing.context import ForkServerContext, ForkServerProcess, set_spawning_popen
    from multiprocessing.forkserver import ForkServer, read_signed

    def _server() -> ForkServer:
        """This process's fork server, running."""
        server: ForkServer = _servers.setdefault(os.getpid(), ForkServer())
        server.set_forkserver_preload(PRELOADED)
        resource_tracker.ensure_running()  # it would end `_deaf` if the server began it
        with _start_method_kept(), _deaf():
            server.ensure_running()
        return server

    @contextmanager
    def _start_method_kept() -> Iterator[None]:
        """`multiprocessing` fixes the user's start method as it starts any process: here it stays open."""
        before: Any = multiprocessing.get_start_method(allow_none=True)
        yield
        if before is None:
            multiprocessing.set_start_method(None, force=True)

    @contextmanager
    def _deaf() -> Iterator[None]:
        """What is started within it hears no Ctrl-C: what the parent was told is the parent's to do."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    class _Popen(popen_forkserver.Popen):
        """As `multiprocessing` starts a process through a fork server, but through ours, and without the main module.

        Functions of the main module travel by value (cloudpickle), so a program needs no `if __name__ == "__main__"`.
        """

        def _launch(self, process_obj: Any) -> None:
            # lazy: it brings numpy, which the server must not load before `ONE_THREAD` is set
            from initlab.interrupts import check

            stream = io.BytesIO()
            set_spawning_popen(self)
            try:
                reduction.dump(_preparation(process_obj.name), stream)
                reduction.dump(process_obj, stream)
            finally:
                set_spawning_popen(None)
            inherited: list[int] = self._fds  # type: ignore[attr-defined]  # typeshed lacks it
            self.sentinel, words = _server().connect_to_new_process(inherited)
            # Its other end tells the worker that its parent has ended.
            lifeline = os.dup(words)
            self.finalizer = util.Finalize(self, _closed, (lifeline, self.sentinel))
            with open(words, "wb") as file:
                try:
                    while not connection.wait([self.sentinel], POLL_SECONDS):
                        check()
                    self.pid = read_signed(self.sentinel)
                except BaseException:
                    file.write(reduction.ForkingPickler.dumps(_Ends()))
                    raise
                file.write(stream.getbuffer())

    class _Ends:
        """Ends the process that unpickles it: a worker that is still to come when nobody waits for it any more."""

        def __reduce__(self) -> tuple[Any, ...]:
            return os._exit, (0,)

    def _closed(*handles: int) -> None:
        for handle in handles:
            os.close(handle)

    def _preparation(name: str) -> dict[str, Any]:
        """What `multiprocessing.spawn.prepare` makes of a worker before anything is unpickled there."""
        began: str = process.ORIGINAL_DIR  # type: ignore[attr-defined]  # typeshed lacks it
        return {
            "name": name,
            "authkey": bytes(process.current_process().authkey),
            "sys_path": [folder or began for folder in sys.path],
            "sys_argv": sys.argv,
            "orig_dir": began,
            "dir": os.getcwd(),
        }

    class _Process(ForkServerProcess):
        @staticmethod
        def _Popen(process_obj: Any) -> Any:
            return _Popen(process_obj)

    class _Context(ForkServerContext):
        Process = _Process

    def _context() -> BaseContext | None:
        return _Context() if reduction.HAVE_SEND_HANDLE else None

else:

    def _context() -> BaseContext | None:
        return None

    def _server() -> None:
        raise OSError("no fork server on this system")
