"""What a newcomer meets: an example in every help, completion in the shell, a sign of life, how to go on."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from initlab import cli
from initlab.cli import completing, output, studies, working
from initlab.cli.app import COMMANDS
from initlab.cli.interruption import Interrupted, line

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SLOW = ("demo", "reproduce")  # run by tests of their own, test_cli_demo and the experiments'


def example(command: str) -> list[str]:
    found = re.search(r"Example: (.*)", COMMANDS[command].__doc__ or "")
    assert found, f"{command} has no example"
    return shlex.split(found[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_its_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert " ".join(example(command)[:2]) in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", [50, 80])
def test_the_example_is_one_command_as_pasted(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    pasted = re.search(r"Example:\s+((?:.*\\\n)*.*)", capsys.readouterr().out)
    assert pasted
    assert shlex.split(pasted[1].replace("\\\n", "")) == example(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_narrow_help_breaks_no_word(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = {}
    for width in (50, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        shown[width] = capsys.readouterr().out
    assert max(map(len, shown[50].splitlines())) <= 50
    words = {width: set(re.split(r"[\s-]+", text)) for width, text in shown.items()}  # a hyphen may end a line
    assert words[50] - {"\\"} <= words[80]  # by which an example goes on in the next line


def test_no_arguments_show_the_page_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for arguments in ([], ["--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert {line.split()[0] for line in shown[0].partition("Commands:")[2].strip().splitlines()} == {*COMMANDS}


def test_prose_beside_the_result_is_as_wide_as_the_terminal_and_a_path_stays_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    path, prose = Path("a folder") / ("x" * 80), "ReLU with adamw, lr 0.001: std 0.01, Xavier, He, zeros, constant 0.1"
    output.note(prose)
    output.said(path)
    *lines, last = capsys.readouterr().err.splitlines()
    assert last == f"report: {path}"
    assert max(map(len, lines)) <= 50
    assert " ".join(lines) == prose


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in SLOW])
def test_every_example_runs_as_written(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the README's model; of the studies, a shorter form."""
    block = README[README.index("## The command line") :]
    model = re.search(r"```python\n(.*?)```", block, re.DOTALL)
    assert model
    (tmp_path / "mymodel.py").write_text(model[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mymodel", raising=False)
    short = {"compare": ["--seeds", "1", "--steps", "5"], "search": ["--trials", "2", "--steps", "5"]}
    with pytest.raises(SystemExit) as ended:
        cli.main([*example(command)[1:], *short.get(command, [])])
    assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("initlab fi", "fit"),
        ("initlab schemes he_n", "he_normal"),
        ("initlab fit m:f --method ls", "lsuv"),
        ("initlab inspect m:f --data di", "digits"),
        ("initlab plan m:f --policy xavier_n", "xavier_normal"),
        ("initlab inspect m:f --policy xavier_n", "xavier_normal"),
        ("initlab compare m:f --schemes he_normal,xavier_n", "he_normal,xavier_normal"),
    ],
)
def test_the_shell_completes(words: str, offered: str) -> None:
    asked = {"_INITLAB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "initlab"], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert offered in done.stdout.split(), done.stdout + done.stderr


def test_names_that_need_torch_are_offered_too() -> None:
    assert completing.recipes("gpt") == ["gpt2", "gpt3"]
    assert completing.experiments("why") == ["why-two-why-six"]
    assert "radam" in completing.optimizers("rad")


def test_a_sign_of_life_comes_late_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "PATIENCE", 0.05)
    begun: list[str] = []
    monkeypatch.setattr(working.Work, "_begin", lambda self: begun.append("begun"))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with working.working("counting", as_json=True):
        time.sleep(0.15)
    assert begun == []
    with working.working("counting", as_json=False):
        pass
    time.sleep(0.15)
    assert begun == []


GIVEN = ["compare", "nets:mlp", "--schemes", "normal(std=0.1)"]
COMMAND = "initlab compare nets:mlp --schemes 'normal(std=0.1)'"


@pytest.mark.parametrize(
    ("stop", "given", "said"),
    [
        (KeyboardInterrupt(), GIVEN, f"nothing was written; this starts anew: {COMMAND}"),
        (studies.stopped(None, False), GIVEN, f"goes on from there: {COMMAND} --storage initlab.db"),
        (
            studies.stopped("runs.db", True),
            [*GIVEN, "--storage", "runs.db"],
            f"from there: {COMMAND} --storage runs.db",
        ),
        (Interrupted("a", "b"), ["x", "--storage=postgresql://me:secret@h/d"], "me:***@h/d"),
        (Interrupted("a", "b"), ["x", "--storage", "postgresql://me:secret@h/d"], "me:***@h/d"),
    ],
)
def test_an_interrupt_says_the_very_command(stop: KeyboardInterrupt, given: list[str], said: str) -> None:
    shown = line(stop, given)
    assert shown.startswith("interrupted: ")
    assert said in shown
    assert "secret" not in shown
    assert "\n" not in shown
