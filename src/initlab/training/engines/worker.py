"""What a worker of a pool does: it holds runs in training, and answers requests for them."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
import torch

from initlab.errors import InputError
from initlab.training.batches import with_sources
from initlab.training.engines.base import Engine, Session
from initlab.training.engines.handover import Missing, received
from initlab.training.engines.machine import keep_freed_memory, share_memory
from initlab.training.forkserver import as_started_by_parent, parent_ended
from initlab.training.task import RunSpec, Task

Request = tuple[Any, ...]  # the name of a method of the session, and its arguments

TASKS_KEPT = 2  # studies whose data a worker keeps at hand
SESSIONS_KEPT = 4  # parts that a worker keeps where they cannot be sent back, and may not come to it again
PARENT_SECONDS = 0.5  # between two looks whether the parent is still there


@dataclass(frozen=True)
class Order:
    """One request for a part: some runs of a study.

    A part's session is where it was (in this worker), in `state`, or begun anew and brought to where it was by `done`:
    a run is a function of its spec and its steps alone.

    Args:
        token, words, path: the task, as `HandedTask` gives it.
        part: names the part.
        engine: trains it.
        specs: its runs.
        done: the requests that have changed it so far.
        asked: the requests to answer now.
        state: the session after `done`, as a worker sent it; None where it stays in its worker or has none.
        send: whether the session is to be sent back.
        tried: how often it was sent before; executors that know equal calls must not answer with the last failure.
    """

    token: str
    words: bytes
    path: str
    part: int
    engine: Engine
    specs: Sequence[RunSpec]
    done: tuple[Request, ...]
    asked: tuple[Request, ...]
    state: bytes | None = None
    send: bool = False
    tried: int = 0


@dataclass(frozen=True)
class Answer:
    """What the requests of an order gave, what the session says of itself, and the session where it is sent back."""

    values: list[Any] = field(default_factory=list)
    choice: str = ""
    plan: str = ""
    state: bytes | None = None
    problem: Exception | None = None
    missing: bool = False  # the task's file is not here: send its contents


@dataclass
class _Held:
    """A session that this worker holds, after these requests."""

    session: Session
    done: tuple[Request, ...]


_tasks: dict[str, Task] = {}
_sessions: dict[tuple[str, int], _Held] = {}
# Random states are the process's own: of an executor with several threads in a process one computes at a time.
_one_at_a_time = threading.Lock()


def work(order: bytes, contents: bytes | None = None) -> bytes:
    """Answer an `Order`; both are pickled, so that no executor needs to know what they hold."""
    with _one_at_a_time:
        try:
            answer = _answer(pickle.loads(order), contents)
        except Missing:
            answer = Answer(missing=True)
        except Exception as problem:  # the user's model, loss and data run here
            answer = Answer(problem=portable(problem))
        return bytes(cloudpickle.dumps(answer))


def forget(token: str) -> None:
    """Let go of a study and of all that is held of it."""
    with _one_at_a_time:
        _tasks.pop(token, None)
        for key in [key for key in _sessions if key[0] == token]:
            _sessions.pop(key).session.close()


def _answer(order: Order, contents: bytes | None) -> Answer:
    task = _task(order, contents)
    session = _session(order, task)
    values = [getattr(session, name)(*arguments) for name, *arguments in order.asked]
    state = snapshot(session, task) if order.send else None
    if state is None:
        _keep(order, _Held(session, after(order.done, order.asked)))
    return Answer(values, session.choice, session.plan, state)


def after(done: tuple[Request, ...], asked: Sequence[Request]) -> tuple[Request, ...]:
    """The requests that bring a new session to where `done` and then `asked` bring it.

    >>> after((("advance", 3),), [("advance", 4), ("evaluate", "test"), ("drop", ["a"])])
    (('advance', 7), ('drop', ['a']))
    """
    changes = list(done)
    for request in asked:
        if request[0] == "advance" and changes and changes[-1][0] == "advance":
            changes[-1] = ("advance", changes[-1][1] + request[1])
        elif request[0] in ("advance", "drop"):
            changes.append(request)
    return tuple(changes)


def _task(order: Order, contents: bytes | None) -> Task:
    if order.token not in _tasks:
        try:
            found = with_sources(received(order.words, order.path, contents))
        except ModuleNotFoundError as problem:
            raise InputError(
                f"workers cannot import {problem.name!r}, which build, loss or data come from; install it there, or "
                "put its folder on their PYTHONPATH"
            ) from problem
        while len(_tasks) >= TASKS_KEPT:
            _tasks.pop(next(iter(_tasks)))
        _tasks[order.token] = found
    return _tasks[order.token]


def _session(order: Order, task: Task) -> Session:
    """The part's session, after the requests that it has had."""
    held = _sessions.pop((order.token, order.part), None)
    if held is not None and held.done == order.done:
        return held.session
    if order.state is not None:
        return restored(order.state, task)
    session = order.engine.open(task, order.specs)
    for name, *arguments in order.done:
        getattr(session, name)(*arguments)
    return session


def _keep(order: Order, held: _Held) -> None:
    _sessions[order.token, order.part] = held
    while order.send and len(_sessions) > SESSIONS_KEPT:
        _sessions.pop(next(iter(_sessions))).session.close()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
    """Pickles a session without the data that every worker has."""

    def __init__(self, stream: io.BytesIO, task: Task) -> None:
        super().__init__(stream)
        self._shared = {id(thing): name for name, thing in _shared(task).items()}

    def persistent_id(self, thing: Any) -> str | None:
        return self._shared.get(id(thing))


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, task: Task) -> None:
        super().__init__(stream)
        self._shared = _shared(task)

    def persistent_load(self, name: Any) -> Any:
        return self._shared[name]


def _shared(task: Task) -> dict[str, Any]:
    return {"task": task, "train": task.train, "test": task.test} | ({} if task.valid is None else {"v": task.valid})


def snapshot(session: Session, task: Task) -> bytes | None:
    """The session as bytes, or None where its model cannot be pickled (such as a parametrized one)."""
    stream = io.BytesIO()
    try:
        _Pickler(stream, task).dump(session)
    except Exception:  # whatever the user's model raises: it then stays here, or is trained up anew
        return None
    return stream.getvalue()


def restored(state: bytes, task: Task) -> Session:
    """The session that `snapshot` gave."""
    session: Session = _Unpickler(io.BytesIO(state), task).load()
    return session


def portable(problem: Exception) -> Exception:
    """The exception if it is one of ours and survives pickling, else one that carries its words."""
    if isinstance(problem, InputError):
        return problem
    return RuntimeError(f"{type(problem).__name__} in a worker process: {problem}")


def begin_worker(parent: int, fellows: int, environment: dict[str, str]) -> None:
    """The start of a worker of our own pool: one thread, its part of the memory, no ear for Ctrl-C."""
    as_started_by_parent(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what the parent was told is the parent's to do
    _keep_sessions_in_memory()
    torch.set_num_threads(1)
    keep_freed_memory()
    share_memory(fellows)
    threading.Thread(target=_die_with_parent, args=(parent,), daemon=True).start()


def _keep_sessions_in_memory() -> None:
    """Loky replaces a worker whose memory has grown by 300 MB, taking it for a leak: here runs are what grows."""
    from loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = 1 << 62


def _die_with_parent(parent: int) -> None:
    """End with a parent that was killed. (Where a system keeps the parent's id, idle workers time out.)"""
    while not parent_ended() and os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    with contextlib.suppress(OSError):
        os._exit(1)
