"""The command as a process: pipes, interrupts, no terminal, narrow and plain terminals."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from initlab.cli.app import main

NETS = """
import torch.nn as nn

def mlp():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
"""
COMMAND = [sys.executable, "-m", "initlab"]


def environment(**changed: str) -> dict[str, str]:
    base = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONIOENCODING")}
    return base | {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1"} | changed


@pytest.mark.parametrize("arguments", [["schemes"], ["schemes", "--json"], ["plan", "nets:mlp"]])
def test_a_closed_pipe_is_quiet(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, *arguments], stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, env=environment())
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 141


class _ClosedOnWindows(io.TextIOWrapper):
    """A pipe whose reader has gone, as Windows tells of it."""

    def write(self, text: str) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    def flush(self) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("arguments", [["schemes"], ["schemes", "--json"]])
def test_a_pipe_closed_as_on_windows_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", _ClosedOnWindows(io.BytesIO()))
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    monkeypatch.undo()
    assert ended.value.code == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("changed", "width"),
    [({}, 80), ({"NO_COLOR": "1"}, 80), ({"COLUMNS": "40"}, 40), ({"PYTHONIOENCODING": "ascii"}, 80)],
)
def test_without_a_terminal_there_is_no_colour_and_no_long_line(
    tmp_path: Path, changed: dict[str, str], width: int
) -> None:
    done = subprocess.run(
        [*COMMAND, "schemes"], capture_output=True, cwd=tmp_path, env=environment(**changed), check=True
    )
    assert b"\x1b" not in done.stdout
    assert done.stderr == b""
    text = done.stdout.decode("utf-8")
    assert "he_normal" in text
    assert max(map(len, text.split("\n"))) <= width


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
@pytest.mark.parametrize(("words", "quiet"), [((), False), (("--json",), True)])
def test_the_live_table_is_for_people(tmp_path: Path, words: tuple[str, ...], quiet: bool) -> None:
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    ours, theirs = os.openpty()
    words = ("--schemes", "he_normal", "--seeds", "2", "--steps", "20", "--engine", "sequential", *words)
    subprocess.run(
        [*COMMAND, "compare", "nets:mlp", *words],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        env=environment(),
        check=True,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # what a closed terminal gives at its end
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert (b"he_normal" in shown) is not quiet
    assert not (quiet and shown)


def test_an_interrupted_comparison_goes_on_where_it_stopped(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    words = [
        "compare",
        "nets:mlp",
        "--schemes",
        "he_normal,zeros",
        "--seeds",
        "2",
        "--steps",
        "200000",
        "--storage",
        "runs.db",
    ]
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(), text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "runs.db").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert re.search("interrupted.*goes on from there", err.strip().split("\n")[-1])


def test_an_interrupt_before_anything_is_one_line_and_repeats_no_password(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(60)\n", encoding="utf-8")
    process = subprocess.Popen(
        [*COMMAND, "compare", "slow:net", "--schemes", "he_normal", "--storage", "postgresql://me:secret@localhost/x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.count("\n") == 1
    assert "interrupted" in err
    assert "secret" not in err


def test_an_interrupt_within_executed_text_still_ends_with_the_exit_code(tmp_path: Path) -> None:
    """CPython would end by SIGINT: an interrupt inside exec'd text counts as unhandled although it was caught."""
    (tmp_path / "nets.py").write_text("exec('raise KeyboardInterrupt')\n", encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, "plan", "nets:mlp"], capture_output=True, cwd=tmp_path, env=environment(), text=True, check=False
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
