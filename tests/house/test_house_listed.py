"""What is one file and one line: a file that stands in no list is never found, so every file is listed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from imports import PACKAGE
from torch import nn

import initlab
from initlab.experiments.registry import MODULES
from initlab.graph.operations import TABLE
from initlab.inspection import findings
from initlab.planning import Policy, recipes
from initlab.planning.parameters.roles import ROLES
from initlab.schemes.catalogue import CATALOGUE
from initlab.schemes.catalogue import NAMES as SCHEMES


def test_every_experiment_is_listed() -> None:
    files = {path.stem for path in (PACKAGE / "experiments").glob("*.py") if "\nEXPERIMENT = " in path.read_text()}
    assert files == set(MODULES.values())


def test_every_scheme_is_listed() -> None:
    """Each file of the catalogue holds the scheme it is called after."""
    files = {path.stem for path in (PACKAGE / "schemes" / "catalogue").glob("*.py")} - {"__init__"}
    assert files == set(SCHEMES)
    assert len(SCHEMES) == len(set(SCHEMES))
    assert tuple(scheme.name for scheme in CATALOGUE) == SCHEMES


def test_no_scheme_takes_another_ones_name() -> None:
    names = [name for scheme in CATALOGUE for name in (scheme.name, *scheme.aliases)]
    assert len(names) == len(set(names))


def test_every_recipe_is_listed_under_its_own_name() -> None:
    files = {path.stem for path in (PACKAGE / "planning" / "recipes").glob("*.py")} - {"__init__"}
    assert files == set(recipes.NAMES)
    assert tuple(recipe.name for recipe in recipes.recipes()) == recipes.NAMES


def test_no_recipe_takes_another_ones_name() -> None:
    names = [name for recipe in recipes.recipes() for name in (recipe.name, *recipe.aliases)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("recipe", recipes.recipes(), ids=lambda recipe: recipe.name)
def test_a_recipe_is_whole(recipe: Policy) -> None:
    """Every law's role is known and said, weights have one, and source, year and uses are stated."""
    assert {law.role for law in recipe.laws} <= set(ROLES)
    assert "weight" in {law.role for law in recipe.laws}
    assert all(law.law for law in recipe.laws)
    assert all((recipe.about, recipe.source, recipe.right, recipe.wrong, recipe.leaves))
    assert 1980 < recipe.year < 2030


def test_a_recipe_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halves.py").write_text(
        "from initlab.planning.recipes.common.given import Normal\n"
        "from initlab.planning.policy import Policy, RoleLaw\n"
        "RECIPE = Policy('halves', 'N(0, 0.5²)', 'a test', (RoleLaw('weight', Normal('std'), 'N'),), 2026,"
        " numbers={'std': 0.5})\n"
    )
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    monkeypatch.setattr(recipes, "NAMES", (*recipes.NAMES, "halves"))
    assert "halves" in initlab.list_policies()
    assert initlab.plan(nn.Linear(3, 2), policy="halves")["weight"].std == 0.5
    assert initlab.plan(nn.Linear(3, 2), policy={"weight": "halves"})["weight"].std == 0.5


@pytest.mark.parametrize("path", sorted((PACKAGE / "planning").rglob("*.py")), ids=lambda path: path.stem)
def test_patterns_of_names_stand_in_one_file(path: Path) -> None:
    """Selectors and stars are the user's own patterns; every other one of planning is in `names`."""
    if path.stem not in ("names", "selectors", "policies"):
        assert "re.compile(" not in path.read_text()
        assert "re.search(" not in path.read_text()


def test_every_finding_is_listed() -> None:
    files = {path.stem for path in (PACKAGE / "inspection" / "findings").glob("*.py")} - {"__init__", "kind"}
    assert sorted(files) == sorted(findings.ORDER)


def test_a_finding_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "narrow.py").write_text(
        "from initlab.inspection.findings.kind import Kind\n"
        "from initlab.inspection.results import Finding\n"
        "def find(e):\n"
        "    thin = next((x for x in e.layers if x.shape[-1] == 1), None)\n"
        "    return thin and Finding('narrow', 'warning', thin.name, '1 unit', 'Widen it')\n"
        "FINDING = Kind(find)\n"
    )
    monkeypatch.setattr(findings, "__path__", [*findings.__path__, str(tmp_path)])
    monkeypatch.setattr(findings, "ORDER", (*findings.ORDER, "narrow"))
    x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    seen = {
        width: [f.kind for f in initlab.inspect(nn.Linear(8, width), x).findings if f.kind == "narrow"]
        for width in (1, 4)
    }
    assert seen == {1: ["narrow"], 4: []}


# Files whose lists of names are no lists of operations, or say of activations what only their reader asks.
OTHER_LISTS = {
    "graph/spelling.py": "Python's operators",
    "inspection/activations.py": "where each activation saturates",
    "inspection/findings/output_activation.py": "the numbers that an output activation gives",
    "inspection/findings/targets.py": "the numbers that an output activation gives",
    "inspection/view.py": "columns",
    "planning/named_streams/draws.py": "how each random function draws",
}


def test_what_an_operation_is_stands_in_its_record_alone() -> None:
    rooms = [PACKAGE / room for room in ("graph", "planning", "inspection")]
    files = [path for room in rooms for path in sorted(room.rglob("*.py")) if path.parent.name != "operations"]
    found = {path.relative_to(PACKAGE).as_posix(): list(_kinds_listed(path.read_text())) for path in files}
    assert [name for name, lists in found.items() if lists and name not in OTHER_LISTS] == []


def test_a_planted_list_of_operations_is_found() -> None:
    assert list(_kinds_listed('CASTS = frozenset({"to", "half", "bfloat16"})')) == [["bfloat16", "half", "to"]]


def _kinds_listed(source: str) -> Iterator[list[str]]:
    """The kinds of operations in each collection of three or more of them."""
    for node in ast.walk(ast.parse(source)):
        items = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        names = {item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)}
        kinds = {name for name in names if TABLE.kind_named(name) in TABLE}
        if len(kinds) > 2:
            yield sorted(kinds)
