"""Worker processes: they leave with Ctrl-C and with their parent, are replaced when they die, say what went wrong."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from initlab.errors import InputError
from initlab.training import forkserver
from initlab.training.batches import with_sources
from initlab.training.engines import ProcessEngine, SequentialEngine, WorkerDied, get_engine, pool, worker
from initlab.training.engines.handover import MAPPED_BYTES, HandedTask, Missing, received
from initlab.training.engines.parts import shares
from initlab.training.task import Progress, RunSpec, Task

WAIT = 30.0


@pytest.fixture(autouse=True)
def two_threads(one_thread: None) -> None:
    """Two workers: as many as torch may use threads; `one_thread` puts the number back."""
    torch.set_num_threads(2)


def task(model=None, steps: int = 1_000_000) -> Task:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 6, generator=generator), torch.randint(0, 3, (64,), generator=generator)
    return Task(model or (lambda: nn.Linear(6, 3)), (x, y), (x, y), optimizer="sgd", batch_size=16, steps=steps)


def specs(count: int = 4) -> list[RunSpec]:
    return [RunSpec(str(i), "built", None, i, 0.01) for i in range(count)]


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie of another parent's counts)."""
    ps = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ps.stdout.strip() in ("", "Z", "Z+")


def wait_until_gone(ids: list[int]) -> bool:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if all(gone(pid) for pid in ids):
            return True
        time.sleep(0.1)
    return False


def alone(one: Task, runs: list[RunSpec], steps: int) -> dict[str, Progress]:
    """The runs, trained one after another in this process."""
    return SequentialEngine().open(one, runs).advance(steps)


def same(found: dict[str, Progress], expected: dict[str, Progress]) -> bool:
    """Equal losses to rounding: a worker computes with one thread, this process with two."""
    return list(found) == list(expected) and all(
        np.allclose(found[key].losses, expected[key].losses, rtol=1e-6, atol=0) for key in expected
    )


def test_workers_wait_for_the_next_study() -> None:
    first = ProcessEngine("sequential").open(task(), specs())
    ids = first.pids()
    assert len(ids) == 2
    assert not first._workers[0].busy
    first.close()
    second = ProcessEngine("stacked:2").open(task(), specs())
    assert sorted(second.pids()) == sorted(ids)
    second.close()
    pool.end_idle()
    assert wait_until_gone(ids)


def test_studies_that_went_without_workers_pay_for_their_start_together(monkeypatch: pytest.MonkeyPatch) -> None:
    long = pool.START / pool.SAVED  # seconds of studies in which workers save as much as their start takes
    begun: list[str] = []
    monkeypatch.setattr(forkserver, "_servers", {})
    monkeypatch.setattr(forkserver, "begin", lambda: begun.append("server"))
    monkeypatch.setattr(pool, "_idle", {})
    monkeypatch.setattr(pool, "_missed", {})
    asked = [pool.worth_starting(0.4 * long) for _ in range(3)]
    assert (asked, begun) == ([False, False, True], ["server"])  # beside the second: two cores, more than half
    monkeypatch.setattr(pool, "_missed", {})
    assert not pool.worth_starting(2 * long, stacked=True)
    assert pool.worth_starting(2 * long)
    assert not pool.ready()
    if forkserver.context() is not None:
        monkeypatch.setattr(forkserver, "_servers", {os.getpid(): "running"})
        assert pool.ready()
    monkeypatch.setattr(forkserver, "_servers", {})
    monkeypatch.setattr(pool, "_idle", {os.getpid(): ["one"]})
    assert pool.ready()


def test_close_ends_the_workers_even_in_the_middle_of_a_request() -> None:
    session = ProcessEngine("sequential").open(task(), specs())
    ids = session.pids()
    for one in session._workers:
        one.submit(time.sleep, 1000)
    session.close()
    assert wait_until_gone(ids)


def test_an_interrupt_leaves_a_session_that_can_be_closed() -> None:
    session = ProcessEngine("stacked:2").open(task(), specs())
    ids = session.pids()
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with pytest.raises(KeyboardInterrupt):
        session.advance(1_000_000)
    session.close()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert wait_until_gone(ids)


def test_workers_take_no_notice_of_the_terminals_interrupt() -> None:
    session = ProcessEngine("sequential").open(task(), specs())
    ids = session.pids()
    for pid in ids:
        os.kill(pid, signal.SIGINT)
    assert {one.steps for one in session.advance(3).values()} == {3}
    assert session.pids() == ids
    session.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_die_with_their_parent(how: signal.Signals) -> None:
    """The program has no file, no guard of its main part, and a class of its own: as a notebook has."""
    program = textwrap.dedent(
        """
        import torch
        from torch import nn
        from initlab.training.engines import ProcessEngine
        from initlab.training.task import RunSpec, Task
        class Mine(nn.Linear):
            pass
        x, y = torch.randn(64, 6), torch.randint(0, 3, (64,))
        task = Task(lambda: Mine(6, 3), (x, y), (x, y), batch_size=16, steps=10**9)
        session = ProcessEngine("sequential", workers=2).open(task, [RunSpec(str(i), "b", None, i, .1) for i in (0, 1)])
        print(*session.pids(), flush=True)
        session.advance(10**9)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    ids = [int(word) for word in parent.stdout.readline().split()]
    assert len(ids) == 2
    parent.send_signal(how)
    parent.wait()
    assert wait_until_gone(ids)


@pytest.mark.parametrize("engine", ["sequential", "stacked:2"])
def test_runs_of_a_killed_worker_are_trained_by_the_next_one(engine: str) -> None:
    one, runs = task(steps=12), specs()
    session = ProcessEngine(engine).open(one, runs)
    session.advance(5)
    os.kill(session.pids()[0], signal.SIGKILL)
    found = session.advance(7)
    session.close()
    expected = {key: Progress(12, each.losses[5:], False) for key, each in alone(one, runs, 12).items()}
    assert same(found, expected)


def test_runs_that_kill_their_worker_again_are_named() -> None:
    class Kills(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            os.kill(os.getpid(), signal.SIGKILL)
            return super().forward(x)

    session = ProcessEngine("sequential").open(task(lambda: Kills(6, 3)), specs())
    with pytest.raises(WorkerDied, match=r"a worker died, and so did the next, with runs '[02]', '[13]'"):
        session.advance(3)
    session.close()


def test_an_error_in_a_worker_is_told_in_the_parent() -> None:
    class Breaks(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ZeroDivisionError("the user's own words")

    session = ProcessEngine("sequential").open(task(lambda: Breaks(6, 3)), specs())
    with pytest.raises(RuntimeError, match="ZeroDivisionError in a worker process: the user's own words"):
        session.advance(1)
    session.close()


def test_runs_added_later_share_the_workers() -> None:
    session = get_engine("processes:sequential").open(task(steps=6), specs(2))
    session.add([RunSpec("more", "built", None, 7, 0.1)])
    assert len(session.pids()) == 2
    assert {one.steps for one in session.advance(6).values()} == {6}
    session.drop(["0"])
    assert set(session.evaluate()) == {"1", "more"}
    session.close()


def test_a_worker_may_have_workers() -> None:
    def nested() -> int:
        inner = ProcessEngine("sequential", workers=1).open(task(steps=3), specs(1))
        try:
            return inner.advance(3)["0"].steps
        finally:
            inner.close()
            pool.end_idle()

    (outer,) = pool.borrow(1)
    assert outer.submit(nested).result(timeout=240) == 3
    outer.end()


def test_large_arrays_are_mapped_and_written_to_by_nobody_else() -> None:
    x, y = torch.randn(MAPPED_BYTES // 2, 4), torch.randn(MAPPED_BYTES // 2, 1).to(torch.bfloat16)
    handed = HandedTask(Task(lambda: nn.Linear(4, 1), (x, y), (x, x)))
    one, other = (received(handed.words, handed.path, None) for _ in range(2))
    sent = received(handed.words, "/no such file", handed.whole())
    assert len(handed.words) < MAPPED_BYTES < x.nbytes
    assert one.train[0].data_ptr() == one.test[0].data_ptr()
    for each in (one, other, sent):
        torch.testing.assert_close(each.train, (x, y), rtol=0, atol=0)
        each.train[0].fill_(0.0)
    assert torch.equal(received(handed.words, handed.path, None).train[0], x)
    handed.remove()
    with pytest.raises(Missing):
        received(handed.words, handed.path, None)


def test_what_cannot_be_pickled_is_named() -> None:
    lock = threading.Lock()

    def build() -> nn.Module:
        with lock:
            return nn.Linear(6, 3)

    with pytest.raises(InputError, match=r"build cannot be pickled for workers .*; engine='sequential' trains in this"):
        ProcessEngine("sequential").open(task(build), specs())


@pytest.mark.parametrize("engine", ["sequential", "stacked:2"])
def test_a_session_sent_elsewhere_goes_on_as_it_was(engine: str) -> None:
    class Ties(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
            self.b.weight = self.a.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.dropout(self.a(x), 0.5, self.training))

    one = with_sources(task(Ties, 20))
    session = get_engine(engine).open(one, specs(2))
    session.advance(9)
    state = worker.snapshot(session, one)
    assert state is not None
    expected = session.advance(11)
    found = worker.restored(state, one).advance(11)
    assert all(np.array_equal(found[key].losses, expected[key].losses) for key in expected)


@pytest.mark.parametrize(
    ("seeds", "workers", "expected"),
    [
        ([0, 1, 2, 0, 1, 2], 2, [[0, 3, 1], [4, 2, 5]]),
        ([0, 0, 1, 1], 2, [[0, 1], [2, 3]]),
        ([0, 1, 0, 1], 2, [[0, 2], [1, 3]]),
        ([5], 4, [[0]]),
    ],
)
def test_runs_are_shared_out_with_data_orders_kept_together(seeds: list, workers: int, expected: list) -> None:
    runs = [RunSpec(f"{place}", "built", None, seed, 0.1) for place, seed in enumerate(seeds)]
    assert shares(task(), runs, workers) == expected


TOUCHES = """
import resource, sys, torch
from initlab.training.engines.machine import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
step = lambda: [torch.empty(1 << 22).fill_(1.0) for _ in range(4)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_that_a_worker_frees_is_not_mapped_again() -> None:
    """Five steps of four tensors of 16 MiB: 4,096 pages of 4 KiB each, or fewer where pages are huge.

    A system that takes idle pages away under pressure has them mapped again too, and one that hands out huge pages maps
    few; so the least of up to three tries counts against the most of them.
    """
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("only glibc can keep the memory that is freed")
    kept, given_back = [faults("keep")], [faults("as it is")]
    while 4 * min(kept) >= max(given_back) and len(kept) < 3:
        kept.append(faults("keep"))
        given_back.append(faults("as it is"))
    assert 4 * min(kept) < max(given_back)


def faults(how: str) -> int:
    """Pages mapped in a process that starts with malloc's own threshold for a block of its own, fixed at its default.

    Left to itself, malloc raises it to what was freed last, and whether pages go back then hangs on what lies on top of
    the heap.
    """
    command = [sys.executable, "-c", TOUCHES, how]
    fixed = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 17)}
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=fixed).stdout)
