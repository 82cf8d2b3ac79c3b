"""`executor=`: other people's workers train the runs, and the table is the one of a single process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest_comparison import tiny_build, tiny_data
from torch import nn
from torch.nn.utils import parametrizations

import initlab
from initlab.comparison import Comparison
from initlab.errors import InputError
from initlab.experiments import run_all
from initlab.training.engines import WorkerDied, engine_of, worker
from initlab.training.engines.executors import called, workers_of
from initlab.training.task import RunSpec, Task


class Inline(Executor):
    """Calls at once, in this process, and forgets what its workers hold: what is not sent back is trained up again.

    Args:
        fails: the numbers of the calls (from 0) that come to nothing, as those of a dead worker.
        workers: how many it says to have.
    """

    def __init__(self, fails: tuple[int, ...] = (), workers: int = 3) -> None:
        self.fails = fails
        self.workers = workers
        self.calls: list[tuple[Any, ...]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        number = len(self.calls)
        self.calls.append(args)
        future: Future[Any] = Future()
        if number in self.fails:
            future.set_exception(OSError("node lost"))
        else:
            future.set_result(fn(*args, **kwargs))
        worker._sessions.clear()
        worker._tasks.clear()
        return future


def settings(**changes: Any) -> dict[str, Any]:
    return {"steps": 40, "batch_size": 16, "optimizer": "adam", "lr": 0.01, "engine": "sequential", **changes}


def compared(executor: Executor | None = None, build: Any = tiny_build, **changes: Any) -> Comparison:
    data, test = tiny_data(), tiny_data(48, 1)
    return initlab.compare(
        build, data, test, ["he_normal", "xavier_normal"], 3, executor=executor, **settings(**changes)
    )


def same(one: Comparison, other: Comparison) -> bool:
    """Equal runs: all but rounding, since workers may have another number of threads."""
    return len(one.runs) == len(other.runs) and all(
        a.key == b.key
        and a.status == b.status
        and a.steps == b.steps
        and np.allclose(a.curve, b.curve, rtol=1e-5, equal_nan=True)
        and np.allclose(a.tests, b.tests, rtol=1e-5, equal_nan=True)
        for a, b in zip(one.runs, other.runs, strict=True)
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"race": True}, {"engine": "stacked"}, {"engine": "auto"}, {"at_once": 2}, {"lr": 1e30}],
    ids=["plain", "race", "stacked", "auto", "two at once", "diverging"],
)
def test_the_table_is_the_one_of_this_process(changes: dict[str, Any]) -> None:
    executor = Inline()
    assert same(compared(executor, **changes), compared(**changes))
    assert executor.calls


def test_a_study_costs_one_call_a_part() -> None:
    executor = Inline()
    result = compared(executor, evaluations=5)
    assert len(executor.calls) == 3
    assert result.engine == "executor: Inline, 3 parts; in each, sequential: one run after another"


@pytest.mark.parametrize("changes", [{}, {"race": True}])
def test_a_worker_that_dies_costs_a_call_and_no_run(changes: dict[str, Any]) -> None:
    executor = Inline(fails=(1,))
    assert same(compared(executor, **changes), compared(**changes))


def test_two_deaths_of_one_part_end_the_study_with_its_runs_named() -> None:
    with pytest.raises(WorkerDied, match=r"and so did the next, with runs 'he_normal\|.*\(node lost\)"):
        compared(Inline(fails=(0, 1, 2, 3)))


def parametrized() -> nn.Module:
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))


def test_a_model_that_cannot_be_sent_is_trained_up_again() -> None:
    assert same(compared(Inline(), parametrized, race=True), compared(None, parametrized, race=True))


def test_threads_of_one_process_train_one_at_a_time() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))

    with ThreadPoolExecutor(4) as executor:
        assert same(compared(executor, build), compared(None, build))


def test_a_machine_that_does_not_see_the_file_is_sent_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    large = torch.randn(4000, 6, generator=generator), torch.randint(0, 3, (4000,), generator=generator)
    monkeypatch.setattr("initlab.training.engines.handover.os.path.exists", lambda path: False)
    executor = Inline()
    given: dict[str, Any] = settings(schemes=["he_normal"], seeds=2)
    found = initlab.compare(tiny_build, large, large, executor=executor, **given)
    assert [len(args) for args in executor.calls] == [1, 1, 2, 2]
    assert same(found, initlab.compare(tiny_build, large, large, **given))


def test_search_goes_through_an_executor() -> None:
    data, test = tiny_data(), tiny_data(48, 1)
    given: dict[str, Any] = {"trials": 6, "steps": 27, "batch_size": 16, "engine": "sequential", "at_once": 3}
    here, there = (initlab.search(tiny_build, data, test, test, executor=e, **given) for e in (None, Inline()))
    assert here.best_params == there.best_params
    assert [t.value for t in there.trials] == pytest.approx([t.value for t in here.trials], rel=1e-5, nan_ok=True)


@pytest.mark.parametrize(
    ("executor", "engine", "words"),
    [
        (3, "auto", "executor must be a concurrent.futures.Executor; got int"),
        (Inline(), "processes", "engine='processes' has workers of its own"),
    ],
)
def test_what_is_no_executor_is_refused(executor: Any, engine: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        compared(executor, engine=engine)


def test_an_executor_that_was_shut_down_is_refused() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(InputError, match=r"executor takes no work .*; give one that runs"):
        compared(executor)


class Broken(Inline):
    """One whose worker has died, as a process pool's: it takes nothing more."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.calls:
            raise BrokenExecutor("a worker died")
        return super().submit(fn, *args, **kwargs)


def test_what_a_broken_executor_leaves_is_trained_by_workers_of_this_machine(one_thread: None) -> None:
    result = compared(Broken(fails=(0,)))
    assert same(result, compared())
    assert result.engine.endswith("the executor broke, so the rest was trained by workers of this machine")


@pytest.mark.parametrize(
    ("executor", "count"), [(ThreadPoolExecutor(3), 3), (Inline(workers=5), 5), (Executor(), None)]
)
def test_workers_are_counted_where_they_are_told(executor: Executor, count: int | None) -> None:
    assert workers_of(executor) == count


def test_calls_are_answered_in_order_and_tried_again() -> None:
    assert list(called(Inline(fails=(1,)), pow, [(2, 3), (3, 2), (5, 1)])) == [8, 9, 5]
    with pytest.raises(WorkerDied, match=r"and so did the next, with \(3, 2\) \(node lost\)"):
        list(called(Inline(fails=(1, 2)), pow, [(2, 3), (3, 2)]))
    with pytest.raises(RuntimeError, match="ZeroDivisionError in a worker process"):
        list(called(Inline(), divmod, [(1, 0)]))


@pytest.fixture
def loky_pool() -> Iterator[Executor]:
    loky = pytest.importorskip("loky")
    executor = loky.ProcessPoolExecutor(2, timeout=60)
    yield executor
    executor.shutdown(kill_workers=True)


@pytest.fixture
def dask_cluster() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed", reason="Dask comes with the extra 'cluster'")
    one = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with one as cluster, distributed.Client(cluster) as client:
        yield client.get_executor()


@pytest.fixture
def ray_cluster() -> Iterator[Executor]:
    ray = pytest.importorskip("ray", reason="Ray comes with the extra 'cluster'")
    from initlab.integrations.cluster import RayExecutor

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield RayExecutor()
    ray.shutdown()


@pytest.fixture
def submitit_jobs(tmp_path: Path) -> Executor:
    submitit = pytest.importorskip("submitit", reason="submitit comes with the extra 'cluster'")
    from initlab.integrations.cluster import SubmititExecutor

    local = submitit.LocalExecutor(folder=tmp_path)
    local.update_parameters(timeout_min=5)
    return SubmititExecutor(local, workers=2)


REAL = ("loky_pool", "dask_cluster", "ray_cluster", "submitit_jobs")


@pytest.mark.parametrize("name", REAL)
def test_real_workers(name: str, request: pytest.FixtureRequest) -> None:
    executor = request.getfixturevalue(name)
    wide = 8
    build = lambda: nn.Sequential(nn.Linear(6, wide), nn.ReLU(), nn.Linear(wide, 3))  # noqa: E731
    assert workers_of(executor) == 2
    assert same(compared(executor, build), compared(None, build))


CELLS = """
import torch
from torch import nn
wide = 8
def build():
    return nn.Sequential(nn.Linear(6, wide), nn.ReLU(), nn.Linear(wide, 3))
def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)
"""


@pytest.mark.nightly
@pytest.mark.parametrize("name", REAL)
def test_real_workers_search_and_reproduce(name: str, request: pytest.FixtureRequest) -> None:
    """With functions of a notebook, whose module no worker can import."""
    executor = request.getfixturevalue(name)
    cells: dict[str, Any] = {"__name__": "__main__"}
    exec(CELLS, cells)
    data = tiny_data(), tiny_data(48, 1), tiny_data(48, 2)
    given: dict[str, Any] = {"trials": 3, "steps": 9, "batch_size": 16, "engine": "sequential", "at_once": 3}
    given |= {"loss": cells["loss"], "screen": False}
    here, there = (initlab.search(cells["build"], *data, executor=e, **given) for e in (None, executor))
    assert here.best_params == there.best_params
    assert [t.value for t in there.trials] == pytest.approx([t.value for t in here.trials], rel=1e-5, nan_ok=True)
    (made,), (mine,) = (run_all(["lecun-std"], small=True, executor=e) for e in (executor, None))
    assert made.to_dict() | {"seconds": 0} == mine.to_dict() | {"seconds": 0}


@pytest.mark.nightly
@pytest.mark.parametrize("name", REAL)
def test_real_workers_that_die(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    executor = request.getfixturevalue(name)
    flag = str(tmp_path / "died")

    class DiesOnce(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if os.environ.get("INITLAB_PARENT") != str(os.getpid()) and not os.path.exists(flag):
                open(flag, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().forward(x)

    def build() -> nn.Module:
        return DiesOnce(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    os.environ["INITLAB_PARENT"] = str(os.getpid())
    found = compared(executor, build)
    assert os.path.exists(flag)
    assert same(found, compared(None, build))


def test_a_part_names_its_engine_once() -> None:
    x, y = tiny_data()
    session = engine_of("processes:stacked:2", Inline()).open(
        Task(tiny_build, (x, y), (x, y), steps=4, batch_size=16), [RunSpec(str(i), "b", None, i, 0.1) for i in range(4)]
    )
    session.advance(4)
    assert session.plan == "stacked:2"
    session.close()


FROM_STDIN = """
import multiprocessing, torch, initlab
from torch import nn
if __name__ == "__main__":
    data = torch.randn(64, 8), torch.randint(0, 3, (64,))
    initlab.compare(lambda: nn.Linear(8, 3), data, data, schemes=["he_normal"], seeds=1, steps=2, lr=0.1)
    process = multiprocessing.get_context("spawn").Process(target=print, args=("spawned",))
    process.start(); process.join(); raise SystemExit(process.exitcode)
"""


def test_a_program_read_from_standard_input_can_spawn_workers_after_a_comparison() -> None:
    """Dask's local cluster spawns its workers, which would look for a file called <stdin>."""
    done = subprocess.run([sys.executable, "-"], input=FROM_STDIN, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout.strip()) == (0, "spawned"), done.stderr[-2000:]
