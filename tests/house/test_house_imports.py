"""The house's order among files: no circles, and no import inside a function but one that says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from imports import PACKAGE, circles, graph, imports

# The rooms that the checks hold.
ROOMS = (
    "__init__",
    "__main__",
    "cli",
    "data",
    "errors",
    "experiments",
    "graph",
    "guest",
    "integrations",
    "interrupts",
    "planning",
    "reporting",
    "rng",
    "sampling",
    "schemes",
    "searching",
    "study",
    "theory",
)


def room(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".").removeprefix("initlab.").split(".")[0]


def test_no_files_import_one_another_in_a_circle() -> None:
    assert [circle for circle in circles(graph()) if any(room(name) in ROOMS for name in circle)] == []


def test_an_import_inside_a_function_says_why() -> None:
    silent = [f"{i.file}:{i.line}" for i in imports() if i.inside and not i.reason and room(i.file) in ROOMS]
    assert silent == []


def test_the_package_is_seen() -> None:
    """The checks above would pass on nothing: they see the package's files and the arrows between them."""
    edges = graph()
    assert len(edges) == len(list(PACKAGE.rglob("*.py")))
    assert "initlab.data.untrusted" in edges["initlab.data.weights"]
    assert any(i.inside and i.reason for i in imports())


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("from initlab.b import x\n")
    (tmp_path / "b.py").write_text("def f():\n    from initlab.c import y\n    return y\n")
    (tmp_path / "c.py").write_text("import initlab.a\n\n\ndef g():\n    # lazy: it is slow\n    import json\n")
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from initlab.a import x\n"
    (tmp_path / "d.py").write_text(guarded)
    return tmp_path


def test_a_planted_circle_is_found_through_a_function_but_not_through_types(planted: Path) -> None:
    assert circles(graph(planted)) == [["initlab.a", "initlab.b", "initlab.c"]]
    assert graph(planted)["initlab.d"] == set()


def test_a_planted_import_without_a_reason_is_found(planted: Path) -> None:
    assert [(i.file, i.line) for i in imports(planted) if i.inside and not i.reason] == [("b.py", 2)]


def test_reading_the_verbs_moves_no_random_state() -> None:
    """What a library draws when it is first imported (rich: link ids) must not move the user's generators."""
    code = (
        "import random, numpy, torch, initlab\n"
        "before = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()\n"
        "initlab.plan, initlab.inspect, initlab.compare, initlab.fit, initlab.theory\n"
        "after = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()\n"
        "assert before == after\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
