"""Nothing of the package forks Python, and what one system alone has (`/proc`, POSIX calls) has another way beside it.

`make types` reads the package once more as on Windows: a call that is not there is an error unless it is asked for.
"""

from __future__ import annotations

import ast
import builtins
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from imports import PACKAGE, imports
from torch import nn

import initlab
from initlab import interrupts
from initlab.data import untrusted
from initlab.errors import InputError
from initlab.study import lease
from initlab.training import forkserver
from initlab.training.engines import ProcessEngine, machine, pool
from initlab.training.task import RunSpec, Task

# Modules that not every system has, or that fork by default (`concurrent.futures` does on Linux before Python 3.14).
ABSENT = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "curses", "readline"}
FORKING = {"multiprocessing", "torch.multiprocessing", "concurrent.futures.ProcessPoolExecutor", "joblib"}
TAKEN = {"torch.multiprocessing.reductions.StorageWeakRef"}  # a reference to a tensor's memory
SERVER = "training/forkserver/__init__.py"  # forks a process that never computes; a test below does without
CALLS = {"fork", "forkpty", "get_context", "set_start_method"}
# Files that read what Linux has; a test below takes it away from each.
READ = ("/proc", "/sys", "/dev", "/tmp", "/etc", "/usr", "/var")
WITHOUT = {"data/untrusted.py", "study/lease.py"}


def beginnings(name: str) -> set[str]:
    """The modules that an import of the dotted `name` may load.

    >>> sorted(beginnings("a.b.c"))
    ['a', 'a.b', 'a.b.c']
    """
    parts = name.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


def unportable_imports(root: Path = PACKAGE) -> list[str]:
    return [
        f"{found.file}:{found.line} {name}"
        for found in imports(root)
        for name in found.names
        if name not in TAKEN and beginnings(name) & (ABSENT if found.file == SERVER else ABSENT | FORKING)
    ]


def forks(root: Path = PACKAGE) -> list[str]:
    """Where a fork or a start method is called or named."""
    return [
        f"{file}:{node.lineno}"
        for file, node in nodes(root, CALLS)
        if file != SERVER
        if (isinstance(node, ast.Attribute) and node.attr in CALLS)
        or (isinstance(node, ast.Name) and node.id in CALLS)
        or (isinstance(node, ast.Constant) and node.value in ("fork", "forkserver"))
    ]


def readers(root: Path = PACKAGE) -> set[str]:
    """The files that hold a path of one system."""
    return {
        file
        for file, node in nodes(root, READ)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if f"{node.value}/".startswith(tuple(f"{folder}/" for folder in READ))
    }


def nodes(root: Path, words: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The syntax of each file that holds one of `words`."""
    for path in sorted(root.rglob("*.py")):
        text = path.read_text("utf-8")
        if any(word in text for word in words):
            yield from ((path.relative_to(root).as_posix(), node) for node in ast.walk(ast.parse(text)))


def test_no_file_imports_what_not_every_system_has() -> None:
    assert unportable_imports() == []


def test_no_file_forks_python() -> None:
    assert forks() == []


def test_what_linux_alone_has_is_read_in_files_that_are_tested_without() -> None:
    assert readers() == WITHOUT


def test_planted_forks_and_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import fcntl\nfrom concurrent.futures import ProcessPoolExecutor\n")
    (tmp_path / "b.py").write_text("import os\ndef f():\n    import multiprocessing as m\n    return os.fork()\n")
    (tmp_path / "c.py").write_text("def f(m, pid):\n    open(f'/proc/{pid}/stat')\n    return m.Process('fork')\n")
    assert [line.split()[0] for line in unportable_imports(tmp_path)] == ["a.py:1", "a.py:2", "b.py:3"]
    assert sorted(forks(tmp_path)) == ["b.py:4", "c.py:3"]
    assert readers(tmp_path) == {"c.py"}


@pytest.mark.parametrize("server", [True, False])
def test_workers_start_without_a_fork(server: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this process, which may have begun threads, autograd and CUDA; without a fork server workers are spawned."""

    def refused(*_: Any) -> Any:
        raise OSError("not here")

    monkeypatch.setattr(os, "fork", refused)
    monkeypatch.setattr(pool, "_idle", {})
    monkeypatch.setattr(forkserver, "_without", set())
    if not server:
        monkeypatch.setattr(forkserver, "_server", refused, raising=False)
    pair = torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)
    task = Task(lambda: nn.Linear(3, 2), pair, pair, batch_size=2, steps=1)
    session = ProcessEngine("sequential", workers=1).open(task, [RunSpec("0", "built", None, 0, 0.01)])
    try:
        assert session.advance(1)["0"].steps == 1
        assert (forkserver.context() is not None) == (server and sys.platform == "linux")
    finally:
        session.close()
        pool.end_idle()


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without `/proc`: macOS."""
    ordinary = builtins.open, os.readlink, os.path.isdir

    def missing(path: Any) -> bool:
        return str(path).startswith("/proc")

    def opened(path: Any, *given: Any, **named: Any) -> Any:
        if missing(path):
            raise FileNotFoundError(path)
        return ordinary[0](path, *given, **named)

    def link(path: Any) -> str:
        if missing(path):
            raise FileNotFoundError(path)
        return os.fspath(ordinary[1](path))

    monkeypatch.setattr(builtins, "open", opened)
    monkeypatch.setattr(os, "readlink", link)
    monkeypatch.setattr(os.path, "isdir", lambda path: not missing(path) and ordinary[2](path))


def ended_process() -> int:
    """The id of a process that is over."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_worker_is_known_by_its_process_id_without_proc(no_proc: None) -> None:
    sign = lease.this_worker().sign_of_life()
    assert sign["born"] == "exists"
    assert "|" not in sign["host"]
    assert lease.alive(sign)
    assert not lease.alive(sign | {"pid": ended_process()})


def test_a_worker_is_known_by_when_it_was_seen_on_windows(no_proc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a signal 0 would be Ctrl-C: no process is asked for."""
    windows = SimpleNamespace(name="nt", path=os.path, getpid=os.getpid, readlink=os.readlink)
    monkeypatch.setattr(lease, "os", windows)
    sign = lease.this_worker().sign_of_life()
    assert lease.alive(sign)
    assert not lease.alive(sign | {"seen": sign["seen"] - lease.LEASE_SECONDS})


def test_memory_is_a_fixed_amount_where_what_is_free_cannot_be_read(
    no_proc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_sharers", 1)
    monkeypatch.delattr(os, "sysconf")
    assert machine.memory_budget() == 4 * 2**30
    machine.share_memory(4)
    assert machine.memory_budget() == 2**30


def no_such_name(name: str) -> int:
    """What macOS says of the pages that are free."""
    raise ValueError(f"unrecognized configuration name {name}")


@pytest.mark.parametrize("sysconf", [None, no_such_name], ids=["windows", "macos"])
def test_data_takes_two_gigabytes_where_what_is_free_cannot_be_read(
    sysconf: Any, no_proc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sysconf")
    if sysconf is not None:
        monkeypatch.setattr(os, "sysconf", sysconf, raising=False)
    assert untrusted.memory_limit() == 2 * 2**30


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="this system has no /proc/meminfo")
def test_files_that_the_system_keeps_at_hand_count_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_AVPHYS_PAGES": 1, "SC_PAGE_SIZE": 4096}[name], raising=False)
    assert untrusted.free_memory(0) > 2**20


def test_where_these_are_not_told_apart_the_free_pages_count(no_proc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_AVPHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}[name], raising=False)
    assert untrusted.free_memory(0) == 40960


def test_cores_are_counted_without_an_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert machine.cores() == 3


def test_an_interrupt_is_insisted_on_without_a_signal_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "pthread_kill", raising=False)
    with interrupts.held():
        interrupts._insist()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_a_file_is_opened_without_the_flags_of_posix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for flag in ("O_NONBLOCK", "O_CLOEXEC"):
        monkeypatch.delattr(os, flag)
    path = tmp_path / "x"
    path.write_bytes(b"a\r\nb")
    stream, size = untrusted.open_ordinary(path, "file")
    with stream:
        assert (stream.read(), size) == (b"a\r\nb", 4)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # torch says so once a process
def test_read_only_memory_is_refused_without_posix_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for call in ("readv", "preadv", "pread"):
        monkeypatch.delattr(os, call, raising=False)
    path = tmp_path / "weights"
    path.write_bytes(bytes(64))
    model = nn.Linear(4, 4, bias=False)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 64, access=mmap.ACCESS_READ)
        model.weight = nn.Parameter(torch.from_numpy(np.frombuffer(mapped, dtype=np.float32).reshape(4, 4)))
        with pytest.raises(InputError, match="'weight' lies in read-only memory"):
            initlab.init_(model, "normal")


BARE = """
import builtins, os, signal, sys, tempfile, warnings
import torch, scipy.stats, optuna, sqlalchemy, pandas, sklearn.datasets, pooch, plotly, jinja2, rich.console
from loky import ProcessPoolExecutor
tempfile.gettempdir()
import initlab
for name in {modules}:
    sys.modules[name] = None
for name in ("fork", "forkpty", "readv", "preadv", "sysconf", "sched_getaffinity", "O_NONBLOCK", "O_CLOEXEC", "fchmod",
             "geteuid", "getuid", "uname", "register_at_fork", "posix_spawn", "killpg", "getpgid", "setsid", "mkfifo"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("pthread_kill", "SIGKILL", "SIGALRM", "setitimer", "pthread_sigmask", "SIGHUP"):
    delattr(signal, name)
def opened(path, *given, _open=builtins.open, **named):
    asker = sys._getframe(1).f_globals.get("__name__")  # threadpoolctl reads /proc on Linux, and there alone
    if str(path).startswith(("/proc", "/sys")) and asker != "threadpoolctl":
        raise FileNotFoundError(path)
    return _open(path, *given, **named)
builtins.open = opened
# a text whose encoding is not told is read in the system's own: cp1252 on Windows
warnings.filterwarnings("error", category=EncodingWarning, module="initlab")
from initlab.cli import main
from torch import nn
build = lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
x, y = torch.randn(32, 4), torch.randint(0, 3, (32,))
model = build()
initlab.init_(model, initlab.plan(model, x), seed=1)
initlab.fit.lsuv_(model, x)
initlab.audit(model).text()
initlab.inspect(model, x, y, loss="cross_entropy").save("report.html")
given = dict(schemes=["he_normal", "zeros"], seeds=1, steps=2, batch_size=16, storage="study.db", lr=0.01)
for engine in ("stacked", "sequential"):
    assert len(initlab.compare(build, (x, y), (x, y), engine=engine, study=engine, **given).runs) == 2
tried = dict(trials=2, steps=2, batch_size=16, storage="search.db")
assert len(initlab.search(build, *[(x, y)] * 3, {{"lr": (0.01, 0.1)}}, **tried).trials) == 2
assert main(["playground", "--out", "play.html"]) == 0
assert main(["reproduce", "lecun-std", "--small", "--folder", "parts", "--report", "claims.html"]) == 0
for page in ("report.html", "play.html", "claims.html"):
    assert os.path.getsize(page) > 1000
"""


def test_every_verb_runs_where_posix_is_not_there(tmp_path: Path) -> None:
    """The libraries below are loaded first: what they need is theirs to have another way for."""
    code = BARE.format(modules=sorted(ABSENT))
    ended = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_what_is_drawn_by_a_generator_says_on_which_device() -> None:
    """A generator is of one device; without a word torch draws on the default one, which may be another."""
    silent = []
    for file, call in nodes(PACKAGE, {"torch.rand"}):
        if isinstance(call, ast.Call) and not file.startswith("experiments/"):  # torch.device("cpu") in runner
            named = {keyword.arg for keyword in call.keywords}
            if "generator" in named and "device" not in named and ast.unparse(call.func).startswith("torch.rand"):
                silent.append(f"{file}:{call.lineno}")
    assert not silent
