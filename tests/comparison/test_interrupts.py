"""Ctrl-C: at a safe point, never lost, never much later than a second; the study goes on whenever it came."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest_comparison import tiny_build, tiny_data
from spawned import fresh, spawned

import initlab
from initlab import interrupts
from initlab.comparison import StudyInterrupted
from initlab.errors import InterruptedInitError
from initlab.interrupts import acknowledge, check, held
from initlab.study.location import location_of
from initlab.study.sql import RUNS, STUDIES, SqlStore, open_tables, stored_study
from initlab.training.records import record_from


def _ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def caught(work: Callable[[], None]) -> bool:
    """Whether `work` within `held` ends by KeyboardInterrupt."""
    try:
        with held():
            work()
    except KeyboardInterrupt:
        return True
    return False


def test_an_interrupt_waits_for_the_check() -> None:
    reached = []

    def work() -> None:
        _ctrl_c()
        reached.append("after the signal")
        check()
        reached.append("after the check")

    assert caught(work)
    assert reached == ["after the signal"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_is_raised_at_once() -> None:
    def work() -> None:
        _ctrl_c()
        _ctrl_c()
        pytest.fail("the second must not wait")

    assert caught(work)


def test_without_a_check_it_is_raised_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE", 0.05)

    def work() -> None:
        _ctrl_c()
        time.sleep(30)
        pytest.fail("it must end the sleep")

    assert caught(work)


class _Swallows:
    """An exception in a finalizer is printed by python, and forgotten."""

    ended = False

    def __del__(self) -> None:
        time.sleep(0.4)
        _Swallows.ended = True


def test_one_that_python_swallows_comes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sys.unraisablehook
    monkeypatch.setattr(interrupts, "GRACE", 0.1)

    def work() -> None:
        _ctrl_c()
        one = _Swallows()
        del one
        time.sleep(30)
        pytest.fail("it was lost")

    assert caught(work)
    assert not _Swallows.ended, "the interrupt must have fallen into the finalizer"
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is before


def test_tidying_up_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE", 0.05)
    with held():
        _ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            check()
        acknowledge()
        time.sleep(0.2)
        check()


def test_a_transaction_is_not_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE", 0.05)
    store = SqlStore(tmp_path / "study.db", "kept", {}, True, record_from)

    def rename_slowly(connection: Any) -> None:
        connection.execute(STUDIES.update().values(words='{"first": "1"}'))
        _ctrl_c()
        _ctrl_c()
        time.sleep(0.3)
        connection.execute(STUDIES.update().values(words='{"first": "1", "second": "2"}'))

    def work() -> None:
        store._call(rename_slowly)
        check()
        pytest.fail("it was lost")

    assert caught(work)
    assert (store.recall("first"), store.recall("second")) == ("1", "2")


def test_an_interrupt_within_init_ends_the_study_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: Any, **settings: Any) -> Any:
        raise InterruptedInitError("1 of 2 parameters were written", ["weight"], ["bias"])

    monkeypatch.setattr("initlab.comparison.driver.train_through", stop)
    with pytest.raises(StudyInterrupted, match="0 of 24 runs are done"):
        _work("compare", str(tmp_path / "study.db"))


def test_a_handler_of_the_callers_own_stays() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with held():
            _ctrl_c()
            check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


def states(storage: Any) -> set[str]:
    """The states of all runs in a storage."""
    engine = open_tables(location_of(storage))
    with engine.begin() as connection:
        found = set(connection.scalars(sa.select(RUNS.c.state)))
    engine.dispose()
    return found


def _work(kind: str, url: str, **settings: Any) -> Any:
    data, test = tiny_data(), tiny_data(48, 1)
    common: dict[str, Any] = {"steps": 300, "batch_size": 16, "storage": url, "study": kind, **settings}
    if kind == "search":
        return initlab.search(tiny_build, data, test, test, trials=40, **common)
    return initlab.compare(tiny_build, data, test, ["he_normal", "zeros"], 12, race=kind == "race", **common)


def _child(kind: str, url: str, answer: Any) -> None:
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer.send("ready")
        _work(kind, url)
        answer.send("ended")
    except KeyboardInterrupt as stop:
        answer.send(f"interrupted: {stop}")
    except BaseException as error:
        answer.send(f"{type(error).__name__}: {error}")


def _interrupted(kind: str, url: str, after: float, workers: int) -> list[tuple[str, float]]:
    """What each worker answered to Ctrl-C, and the seconds that took."""
    pipes, children = [], []
    for _ in range(workers):
        ours, theirs = fresh.Pipe()
        child = spawned(_child, kind, url, theirs)
        assert ours.recv() == "ready"
        pipes.append(ours)
        children.append(child)
    time.sleep(after)
    struck = time.monotonic()
    for child in children:
        assert child.pid is not None
        os.killpg(child.pid, signal.SIGINT)
    answers = []
    for child, pipe in zip(children, pipes, strict=True):
        answers.append((pipe.recv() if pipe.poll(60) else "no answer", time.monotonic() - struck))
        child.join(10)
        if child.is_alive():
            child.kill()
    return answers


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["compare", "race", "search"])
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_at_random_times(tmp_path: Path, kind: str, workers: int) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    rng = random.Random(f"{kind} {workers}")
    for _ in range(10):
        for answer, seconds in _interrupted(kind, url, rng.uniform(0, 2.5), workers):
            assert answer == "ended" or answer.startswith("interrupted"), answer
            # The promise is 2 s on an idle machine; beside other tests, that it comes at all.
            assert seconds < 30
    result = _work(kind, url)
    assert not getattr(result, "missing", ())
    assert states(url) == {"ended"}
    if kind == "compare":
        assert len(stored_study(url, kind)[2]) == 24
