"""Worker processes: they leave with the session, with Ctrl-C and with their parent, and say what went wrong in them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from initlab.training.engines import ProcessEngine, WorkerDied, get_engine
from initlab.training.engines.machine import can_fork
from initlab.training.engines.processes import ProcessSession, shares
from initlab.training.task import RunSpec, Task

pytestmark = pytest.mark.skipif(not can_fork(), reason="worker processes are forked on Linux only")
WAIT = 20.0


@pytest.fixture(autouse=True)
def two_threads(one_thread: None) -> None:
    """Two workers: as many as torch may use threads; `one_thread` puts the number back."""
    torch.set_num_threads(2)


def task(model=None, steps: int = 1_000_000) -> Task:
    x, y = torch.randn(64, 6), torch.randint(0, 3, (64,))
    return Task(model or (lambda: nn.Linear(6, 3)), (x, y), (x, y), optimizer="sgd", batch_size=16, steps=steps)


def specs(count: int = 4) -> list[RunSpec]:
    return [RunSpec(str(i), "built", None, i, 0.01) for i in range(count)]


def pids(session: ProcessSession) -> list[int]:
    return [worker.process.pid for worker in session._workers]


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie of another parent's counts)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(ids: list[int]) -> bool:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if all(gone(pid) for pid in ids):
            return True
        time.sleep(0.05)
    return False


def test_close_ends_the_workers_even_in_the_middle_of_a_request() -> None:
    session = ProcessEngine("sequential").open(task(), specs())
    ids = pids(session)
    assert len(ids) == 2
    assert not any(gone(pid) for pid in ids)
    session._workers[0].pipe.send(("advance", 1_000_000))
    session.close()
    assert wait_until_gone(ids)


def test_an_interrupt_leaves_a_session_that_can_be_closed() -> None:
    session = ProcessEngine("stacked:2").open(task(), specs())
    ids = pids(session)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with pytest.raises(KeyboardInterrupt):
        session.advance(1_000_000)
    session.close()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert wait_until_gone(ids)


def test_workers_take_no_notice_of_the_terminals_interrupt() -> None:
    session = ProcessEngine("sequential").open(task(), specs())
    for pid in pids(session):
        os.kill(pid, signal.SIGINT)
    assert {one.steps for one in session.advance(3).values()} == {3}
    session.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_die_with_their_parent(how: signal.Signals) -> None:
    program = textwrap.dedent(
        """
        import torch
        from torch import nn
        from initlab.training.engines import ProcessEngine
        from initlab.training.task import RunSpec, Task
        torch.set_num_threads(2)
        x, y = torch.randn(64, 6), torch.randint(0, 3, (64,))
        task = Task(lambda: nn.Linear(6, 3), (x, y), (x, y), batch_size=16, steps=10**9)
        session = ProcessEngine("sequential", workers=2).open(task, [RunSpec(str(i), "b", None, i, .1) for i in (0, 1)])
        print(*(worker.process.pid for worker in session._workers), flush=True)
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


def test_a_worker_that_is_killed_is_reported_with_its_runs() -> None:
    session = ProcessEngine("sequential").open(task(), specs())
    os.kill(pids(session)[0], signal.SIGKILL)
    with pytest.raises(WorkerDied, match=r"exit code -9\) with runs '0', '1'"):
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


def test_workers_added_later_share_the_cores() -> None:
    session = get_engine("processes:sequential").open(task(steps=6), specs(2))
    session.add([RunSpec("more", "built", None, 7, 0.1)])
    assert len(pids(session)) == 3
    assert {one.steps for one in session.advance(6).values()} == {6}
    first = pids(session)[0]
    session.drop(["0"])
    assert gone(first)
    assert set(session.evaluate()) == {"1", "more"}
    session.close()


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
    few; so the least of three tries counts against the most of three.
    """
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("only glibc can keep the memory that is freed")
    kept, given_back = zip(*((faults("keep"), faults("as it is")) for _ in range(3)), strict=True)
    assert 4 * min(kept) < max(given_back)


def faults(how: str) -> int:
    command = [sys.executable, "-c", TOUCHES, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
