"""Workers that are forked from a server: as new interpreters in all but the time and the memory that they take."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from initlab import interrupts
from initlab.training import forkserver
from initlab.training.engines import ProcessEngine, pool
from initlab.training.engines.pool import LocalWorker
from initlab.training.task import RunSpec, Task

if sys.platform != "linux":
    pytest.skip("a fork server is asked on Linux alone", allow_module_level=True)

HEAVY = {"torch._dynamo", "sympy", "numba", "initlab.planning", "torch._functorch.apis"}
NEEDLESS = {"scipy.optimize", "sqlalchemy", "optuna", "pandas", "sklearn", "plotly", "jinja2", "rich"}


@pytest.fixture
def worker() -> Iterator[LocalWorker]:
    one = LocalWorker(1)
    yield one
    one.end()


def test_a_worker_finds_everything_imported_and_nothing_begun(worker: LocalWorker) -> None:
    def look() -> tuple[int, set[str], set[str], bool, int, bool]:
        mine = len(os.listdir(f"/proc/{os.getppid()}/task"))
        x = torch.ones(64, 64, requires_grad=True)
        (x @ x).sum().backward()
        right = x.grad is not None and bool((x.grad == 128).all())
        held = set(sys.modules)
        return mine, HEAVY - held, NEEDLESS & held, right, torch.get_num_threads(), torch.cuda._is_in_bad_fork()

    assert worker.submit(look).result(60) == (1, set(), set(), True, 1, False)


def test_the_server_loads_no_library_before_it_is_told_of_one_thread() -> None:
    code = "import initlab.training.forkserver, sys; print(sorted({'numpy', 'torch', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_worker_starts_in_a_moment(worker: LocalWorker) -> None:
    worker.submit(int).result(60)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        other = LocalWorker(1)
        other.submit(int).result(60)
        seconds.append(time.perf_counter() - began)
        other.end()
    assert min(seconds) < 1.0


def test_a_worker_has_the_variables_of_its_parent_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """`CUDA_VISIBLE_DEVICES` above all: the server was begun with another, or with none."""
    found = []
    for value in ("3", None):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value) if value else monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        one = LocalWorker(1)
        look = one.submit(lambda: [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")])
        found.append(look.result(60))
        one.end()
    assert found == [["3", "1"], [None, "1"]]


def test_workers_draw_random_numbers_of_their_own(worker: LocalWorker) -> None:
    other = LocalWorker(1)
    mine, others = (one.submit(lambda: np.random.random()).result(60) for one in (worker, other))
    assert mine != others
    other.end()


def test_the_main_module_is_not_run_again_and_the_start_method_stays_open(worker: LocalWorker) -> None:
    fixed = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(None, force=True)
    try:
        assert not worker.submit(lambda: hasattr(sys.modules["__main__"], "__file__")).result(60)
        assert multiprocessing.get_start_method(allow_none=True) is None
    finally:
        multiprocessing.set_start_method(fixed, force=True)


def test_runs_go_on_when_the_server_is_killed() -> None:
    pair = torch.randn(32, 6), torch.zeros(32, dtype=torch.int64)
    task = Task(lambda: nn.Linear(6, 3), pair, pair, optimizer="sgd", batch_size=16, steps=9)
    session = ProcessEngine("sequential", workers=1).open(task, [RunSpec("0", "built", None, 0, 0.01)])
    session.advance(4)
    os.kill(forkserver._server()._forkserver_pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while session._workers[0]._executor._flags.broken is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert session.advance(5)["0"].steps == 9
    session.close()
    pool.end_idle()


@pytest.fixture
def bare_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server of its own that imports nothing; what it and its workers say is captured."""
    monkeypatch.setattr(forkserver, "PRELOADED", ["time"])
    monkeypatch.setattr(forkserver, "_servers", {})
    server = forkserver._server()
    yield server
    server._stop()


def test_the_server_hears_no_interrupt_from_its_first_moment(bare_server: Any) -> None:
    os.kill(bare_server._forkserver_pid, signal.SIGINT)
    time.sleep(0.3)
    assert os.waitpid(bare_server._forkserver_pid, os.WNOHANG) == (0, 0)


def test_an_interrupt_does_not_wait_for_the_server(
    capfd: pytest.CaptureFixture[str], bare_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that the server forks all the same ends without a word."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupts, "check", interrupted)
    monkeypatch.setattr(forkserver.connection, "wait", lambda *_: [])
    worker = LocalWorker(1)
    with pytest.raises(KeyboardInterrupt):
        worker.submit(int)
    pool.give_back(worker, "")
    assert worker.pids() == []
    time.sleep(0.5)
    end = time.monotonic() + 20
    while Path(f"/proc/{(pid := bare_server._forkserver_pid)}/task/{pid}/children").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert capfd.readouterr().err == ""
