"""The command line: what it prints and writes, and one line with exit code 2 for everything that cannot be meant."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from initlab import cli
from initlab.experiments import list_experiments
from initlab.schemes import list_schemes

NETS = """
import torch.nn as nn

def mlp():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

def conv():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

def tokens():
    return nn.Sequential(nn.Embedding(50, 8), nn.Flatten(), nn.Linear(32, 3))

class Net(nn.Sequential):
    def __init__(self, width=16):
        super().__init__(nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 10))

ready = mlp()

def needs(width, depth):
    return mlp()

class Loud(nn.Linear):
    def __init__(self):
        super().__init__(64, 10)

    def forward(self, x):
        print("the user's own words")
        return super().forward(x)

def gives_none():
    return None

def raises():
    raise RuntimeError("the user's own words \\x1b[31m")

def prints():
    print("the user's own words")
    return mlp()

def exits():
    import sys
    sys.exit(3)

class Odd(nn.Sequential):
    def __init__(self):
        super().__init__()
        for name in ("<img src=x onerror=alert(1)>", "[/]", "a=b", "a\\x1b[31mb", "n" * 1000):
            self.add_module(name, nn.Linear(64, 64))

number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder with a module of models, as the current one."""
    (tmp_path / "usernets.py").write_text(NETS, encoding="utf-8")
    (tmp_path / "모델.py").write_text("from usernets import mlp as 그물\n", encoding="utf-8")
    (tmp_path / "broken.py").write_text("import a_module_that_is_not_there\n", encoding="utf-8")
    (tmp_path / "misspelt.py").write_text("def mlp(:\n", encoding="utf-8")
    (tmp_path / "sly.py").write_text("def __getattr__(name):\n    raise RuntimeError('no ' + name)\n", encoding="utf-8")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "package" / "inner.py").write_text("from usernets import mlp\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    own = ("usernets", "broken", "misspelt", "sly", "leaves", "package", "package.inner")
    yield tmp_path
    for name in own:
        sys.modules.pop(name, None)


class Done:
    """An exit code, and what was printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return Done(stopped.value.code, out, err)

    return run


Run = Callable[..., Done]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("usernets", "MODEL must be package.module:factory"),
        ("usernets:", "MODEL must be package.module:factory"),
        (":mlp", "MODEL must be package.module:factory"),
        ("usernets.py:mlp", "for a file, usernets:mlp"),
        ("package/inner.py", "for a file, package.inner:factory"),
        ("../x:y", "MODEL must be package.module:factory"),
        ("nowhere:mlp", "there is no module 'nowhere'"),
        ("package.nowhere:mlp", "there is no module 'package.nowhere'"),
        ("usernets.deeper:mlp", "there is no module 'usernets.deeper'"),
        ("usernets:mpl", "did you mean 'mlp'"),
        ("usernets:needs", "needs the arguments width, depth"),
        ("usernets:gives_none", "must return an nn.Module; got NoneType"),
        ("usernets:number", "must be a function that returns an nn.Module"),
        ("usernets:exits", r"it called sys.exit\(3\)"),
        ("leaves:mlp", r"it called sys.exit\(3\)"),
        ("x" * 100_000, "MODEL must be package.module:factory"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(run: Run, model: str, words: str) -> None:
    done = run("plan", model)
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert len(done.err) < 1000
    assert re.search(words, done.err), done.err


def test_ctrl_c_while_a_module_is_looked_for_is_no_error_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "usernets":
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    done = run("plan", "usernets:mlp")
    assert done.code == 130
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("model", "own", "words"),
    [
        ("broken:mlp", "broken.py", "No module named 'a_module_that_is_not_there'"),
        ("misspelt:mlp", "misspelt.py", "def mlp\\(:"),
        ("sly:mlp", "sly.py", "no mlp"),
        ("usernets:raises", "usernets.py", r"the user's own words \\x1b\[31m"),
    ],
)
def test_an_error_inside_the_users_module_shows_the_users_own_traceback(
    run: Run, model: str, own: str, words: str
) -> None:
    done = run("plan", model)
    assert done.code == 1
    assert own in done.err
    assert re.search(words, done.err)
    assert "initlab/cli" not in done.err
    assert "\x1b" not in done.err
    assert "importlib" not in done.err


@pytest.mark.parametrize("model", ["usernets:mlp", "usernets:Net", "usernets:ready", "package.inner:mlp", "모델:그물"])
def test_functions_classes_and_ready_modules_are_models(run: Run, model: str) -> None:
    done = run("plan", model)
    assert done.code == 0, done.err
    assert "0.weight" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "usernets:mlp", "--policy", "he_norml"), "did you mean 'he_normal'"),
        (("plan", "usernets:mlp", "--policy", "normal(std=-1)"), "std must be at least 0"),
        (("plan", "usernets:mlp", "--policy", "normal(0.1)"), "arguments must be name=value"),
        (("plan", "usernets:mlp", "--policy", "normal(std=__import__('os').getpid())"), "arguments must be name=value"),
        (("plan", "usernets:mlp", "--policy", "normal(std=nan)"), "with finite numbers"),
        (("plan", "usernets:mlp", "--policy", "normal(std=1e999)"), "std must be a finite number; got inf"),
        (("plan", "usernets:mlp", "--policy", "normal(std=1, std=2)"), "each once"),
        (("plan", "usernets:mlp", "--policy", "a b"), "a scheme is a name"),
        (("plan", "usernets:mlp", "--select", "nothing"), "must be SELECTOR=SCHEME"),
        (("plan", "usernets:mlp", "--select", "conv*.weight=he_normal"), "conv"),
        (("plan", "usernets:mlp", "--input", "abc"), "--input must be a shape"),
        (("plan", "usernets:mlp", "--input", "0"), "sizes of at least 1"),
        (("plan", "usernets:mlp", "--input", "99999999999"), "more than 2.31 values"),
        (("plan", "usernets:mlp", "--input", "64", "--batch", "0"), "--batch must be a whole number of at least 1"),
        (("plan", "usernets:mlp", "--input", "64:" + "9" * 30), "--input must be a shape"),
        (("plan", "usernets:mlp", "--explain", "0.wieght"), "did you mean '0.weight'"),
        (("plan", "usernets:mlp", "--report", "plan.txt"), "--report must end in .html"),
        (("plan", "usernets:mlp", "--report", "nowhere/plan.html"), "does not exist"),
        (("plan", "usernets:mlp", "--polcy", "x"), "--polcy"),
        (("plan",), "MODEL"),
        (("audit", "usernets:mlp", "--reference", "he_norml"), "did you mean 'he_normal'"),
        (("audit", "usernets:mlp", "--reference", "none.pt"), "No such file"),
        (("inspect", "usernets:mlp"), "give --input SHAPE, .* or --data"),
        (("inspect", "usernets:mlp", "--data", "digits", "--input", "3x8x8"), "asks for 192"),
        (("plan", "usernest:mlp"), "did you mean 'usernets'"),
        (("inspct", "usernets:mlp"), "Did you mean 'inspect'"),
        (("reproduce", "why_two"), "did you mean 'why-two-why-six'"),
        (("inspect", "usernets:mlp", "--data", "digit"), "did you mean 'digits'"),
        (("inspect", "usernets:mlp", "--data", "none.npz"), "No such file"),
        (("inspect", "usernets:mlp", "--input", "63"), "63"),
        (("inspect", "usernets:mlp", "--data", "digits", "--weights", "none.pt"), "No such file"),
        (("compare", "usernets:mlp", "--schemes", ""), "--schemes is empty"),
        (("compare", "usernets:mlp", "--schemes", "he_norml"), "did you mean 'he_normal'"),
        (("compare", "usernets:mlp", "--schemes", "he_normal", "--seeds", "0"), "seeds"),
        (("compare", "usernets:mlp", "--schemes", "he_normal", "--steps", "0"), "steps"),
        (("compare", "usernets:mlp", "--schemes", "he_normal", "--lr", "nan"), "lr"),
        (("search", "usernets:mlp", "--schemes", "he_norml"), "did you mean 'he_normal'"),
        (("search", "usernets:mlp", "--for", "@Linear="), "--for is empty"),
        (("search", "usernets:mlp", "--for", "@Linear"), "--for must be SELECTOR=SCHEMES"),
        (("search", "usernets:mlp", "--lr", "1:2:3"), "--lr must be a number or LOW:HIGH"),
        (("search", "usernets:mlp", "--lr", "fast"), "--lr must be a number or LOW:HIGH"),
        (("search", "usernets:mlp", "--lr", "1e-4,1e-1"), "--lr must be a number or LOW:HIGH"),
        (("plan", "usernets:mlp", "--input"), r"\(initlab plan --help\)"),
        (("search", "usernets:mlp", "--trials", "0"), "trials"),
        (("search", "usernets:mlp", "--trials", str(2**64)), "trials must be at most 1,000,000"),
        (("search", "usernets:mlp", "--pruning", "mdian"), "did you mean 'median'"),
        (("schemes", "he_norml"), "did you mean 'he_normal'"),
        (("recipes", "lama"), "did you mean 'llama'"),
        (("reproduce", "leccun-std"), "did you mean 'lecun-std'"),
        (("reproduce", "lecun-std", "--all"), "not both"),
        (("reproduce", "lecun-std", "--small", "--folder", "/proc/none"), "--folder '/proc/none' must be a folder"),
        (("explain",), "explain"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_exit_code_2(
    run: Run, folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = sorted(p.name for p in folder.iterdir() if p.name != "__pycache__")
    done = run(*arguments)
    assert done.code == 2, done.err
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    assert re.search(words, done.err), done.err
    assert sorted(p.name for p in folder.iterdir() if p.name != "__pycache__") == before


def test_debug_shows_the_traceback_and_may_stand_anywhere(run: Run) -> None:
    for arguments in (
        ("plan", "usernets:mlp", "--policy", "x", "--debug"),
        ("--debug", "plan", "usernets:mlp", "--policy", "x"),
    ):
        done = run(*arguments)
        assert done.code == 2
        assert "Traceback" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--version",), "0."),
        (("--help",), "compare"),
        (("inspect", "--help"), "--weights"),
        (("schemes",), "xavier_normal"),
        (("recipes",), "completep"),
        (("recipes", "t5"), "head size"),
        (("recipes", "vit", "--json"), '"name": "vit_jax"'),
        (("schemes", "he_normal"), "Delving"),
        (("schemes", "kaiming_normal"), "he_normal"),
        (("schemes", "normal(std=0.5)"), "std=0.5"),
        (("plan", "usernets:mlp", "--input", "64"), "to write"),
        (("plan", "usernets:conv", "--input", "1x8x8", "--select", "0.weight=orthogonal"), "orthogonal"),
        (("plan", "usernets:tokens", "--input", "4:50"), "0.weight"),
        (("plan", "usernets:Odd", "--select", "[/].weight=orthogonal"), "[/].weight: orthogonal"),
        (("plan", "usernets:Odd", "--select", "a=b.weight=normal(std=0.5)"), "a=b.weight: normal(std=0.5)"),
        (("plan", "usernets:mlp", "--explain", "2.weight"), "2.weight"),
        (("audit", "usernets:mlp"), "torch_default"),
        (("audit", "usernets:mlp", "--reference", "he_normal", "--json"), '"what": "std"'),
        (("inspect", "usernets:mlp", "--data", "digits", "--policy", "he_normal"), "healthy"),
        (("inspect", "usernets:conv", "--data", "digits", "--images"), "conv"),
        (("inspect", "usernets:mlp", "--input", "64", "--policy", "zeros"), "untrainable"),
        (("reproduce",), "lecun-std"),
    ],
)
def test_what_is_printed(run: Run, arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.code == 0, done.err
    assert words in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("schemes",),
        ("schemes", "he_normal"),
        ("plan", "usernets:Odd", "--input", "64"),
        ("plan", "usernets:prints"),
        ("plan", "usernets:Loud", "--input", "64"),
        ("inspect", "usernets:Loud", "--input", "64"),
        ("compare", "usernets:Loud", "--schemes", "he_normal", "--seeds", "2", "--steps", "2"),
        ("search", "usernets:Loud", "--schemes", "he_normal", "--trials", "2", "--steps", "2"),
        ("inspect", "usernets:Odd", "--input", "64"),
        ("compare", "usernets:mlp", "--schemes", "he_normal,zeros", "--seeds", "2", "--steps", "4"),
        ("search", "usernets:mlp", "--for", "@Linear=he_normal,normal(std=(0.01,1))", "--trials", "3", "--steps", "20"),
        ("reproduce",),
    ],
    ids=lambda a: " ".join(a[:2]),
)
def test_json_is_valid_and_alone_on_stdout(run: Run, arguments: tuple[str, ...]) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    done = run(*arguments, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out, parse_constant=refuse)
    assert "\x1b" not in done.out


def test_the_catalogue_in_json_holds_every_scheme(run: Run) -> None:
    listed = json.loads(run("schemes", "--json").out)
    assert [scheme["name"] for scheme in listed] == list_schemes()
    assert all(scheme["formula"] and scheme["latex"] and scheme["source"] for scheme in listed)


@pytest.mark.parametrize("columns", [50, 80])
def test_the_names_of_experiments_are_shown_whole(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = {line.split("  ")[0].strip() for line in run("reproduce").out.split("\n")}
    assert set(list_experiments()) <= shown


def test_inspecting_a_model_as_built_repeats_itself(run: Run) -> None:
    words = ("inspect", "usernets:mlp", "--data", "digits")
    first = run(*words).out
    torch.rand(1)
    assert run(*words).out == first
    assert run(*words, "--seed", "1").out != first


@pytest.mark.parametrize("width", ["40", "80"])
def test_names_are_text_in_terminal_and_report(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for command in ("plan", "inspect"):
        done = run(command, "usernets:Odd", "--input", "64", "--report", "odd.html")
        assert done.code == 0, done.err
        assert "\x1b" not in done.out
        assert "report: odd.html" in done.err
        html = (folder / "odd.html").read_text(encoding="utf-8")
        assert "<img src=x" not in html
        assert "&lt;img src=x onerror=alert(1)&gt;" in html
        assert "\x1b" not in html


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_results_fit_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    trained = ("--steps", "5", "--schemes", "he_normal,zeros")
    for words in (
        ("plan", "usernets:mlp"),
        ("inspect", "usernets:mlp", "--data", "digits"),
        ("compare", "usernets:mlp", "--seeds", "3", *trained),
        ("search", "usernets:mlp", "--trials", "3", *trained),
        ("reproduce", "why-two-why-six", "--small"),
    ):
        widths = [len(line) for line in run(*words).out.split("\n")]
        assert max(widths) <= columns, words
        assert max(widths) > 0.7 * min(columns, 100), f"{words} leaves the width unused"


def test_a_report_that_could_not_be_written_is_found_before_any_work(run: Run, folder: Path) -> None:
    (folder / "link.html").symlink_to(folder / "elsewhere.html")
    done = run("compare", "usernets:mlp", "--schemes", "he_normal", "--steps", "100000000", "--report", "link.html")
    assert done.code == 2
    assert "symbolic link" in done.err


def test_weights_are_loaded_by_name_and_checked(run: Run, folder: Path) -> None:
    state = {
        "0.weight": torch.zeros(32, 64),
        "0.bias": torch.zeros(32),
        "2.weight": torch.zeros(10, 32),
        "2.bias": torch.zeros(10),
    }
    torch.save(state, folder / "zeros.pt")
    done = run("inspect", "usernets:mlp", "--data", "digits", "--weights", "zeros.pt", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["verdict"] == "untrainable"
    torch.save(state | {"extra": torch.zeros(1)}, folder / "more.pt")
    assert "has 'extra' besides" in run("inspect", "usernets:mlp", "--data", "digits", "--weights", "more.pt").err
    torch.save(state | {"0.bias": torch.zeros(31)}, folder / "other.pt")
    assert (
        "(31,) in the file and (32,) in the model"
        in run("inspect", "usernets:mlp", "--data", "digits", "--weights", "other.pt").err
    )
    torch.save(state | {"0.bias": torch.zeros(32, dtype=torch.complex64)}, folder / "complex.pt")
    done = run("inspect", "usernets:mlp", "--data", "digits", "--weights", "complex.pt")
    assert "'0.bias' is complex in the file and real in the model" in done.err


class RunsCode:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch marker",))


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_weight_file_that_runs_code_is_refused(
    run: Run, folder: Path, save: Callable[[object, Path], object]
) -> None:
    save(RunsCode(), folder / "bad.pt")
    done = run("inspect", "usernets:mlp", "--data", "digits", "--weights", "bad.pt")
    assert done.code == 2
    assert "save a state_dict" in done.err
    assert not (folder / "marker").exists()


def test_strict_tells_an_untrainable_model_by_its_exit_code(run: Run) -> None:
    assert run("inspect", "usernets:mlp", "--data", "digits", "--policy", "zeros", "--strict").code == 3
    assert run("inspect", "usernets:mlp", "--data", "digits", "--policy", "he_normal", "--strict").code == 0


@pytest.mark.parametrize(
    ("arrays", "code", "words"),
    [
        ({"X": (40, 64), "Y": (40,)}, 0, "he_normal"),
        ({"x_train": (40, 64), "y_train": (40,), "x_test": (10, 64), "y_test": (10,)}, 0, "he_normal"),
        ({"X": (40, 64)}, 2, "X and Y, or x_train and y_train"),
        ({"X": (4, 64), "Y": (4,)}, 2, "at least 5"),
        ({"X": (40, 64), "Y": (39,)}, 2, "must agree"),
    ],
)
def test_compare_reads_npz_files(
    run: Run, folder: Path, arrays: dict[str, tuple[int, ...]], code: int, words: str
) -> None:
    rng = np.random.default_rng(0)
    made = {n: rng.normal(size=s) if len(s) > 1 else rng.integers(0, 10, s) for n, s in arrays.items()}
    np.savez(folder / "own.npz", **made)
    done = run(
        "compare", "usernets:mlp", "--schemes", "he_normal,zeros", "--data", "own.npz", "--seeds", "2", "--steps", "3"
    )
    assert done.code == code, done.err
    assert words in (done.out if code == 0 else done.err)


def test_the_current_folder_leaves_the_import_path_again(run: Run, folder: Path) -> None:
    before = list(sys.path)
    run("plan", "usernets:mlp")
    assert sys.path == before
