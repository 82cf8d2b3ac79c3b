"""The pages of recipes: one a recipe in each language, and the table of what was confirmed."""

from __future__ import annotations

import re
from pathlib import Path

import blocks
import pytest
import recipe_pages
import recipes_compared
import recipes_transfer
import sources
from recipe_numbers import CONFIRMED

from initlab.cli.recipes import training_words
from initlab.planning import get_policy, list_policies
from initlab.planning.parameters.roles import ROLES
from initlab.reporting.korean import korean
from initlab.schemes import get_scheme, list_schemes


def test_every_recipe_and_role_is_translated_and_nothing_else_is() -> None:
    assert set(recipe_pages.KOREAN) == set(list_policies())
    assert all(re.search("[가-힣]", korean(role.about)) for role in ROLES.values())


@pytest.mark.parametrize("name", list_policies())
def test_what_a_recipe_says_in_a_table_is_said_in_korean(name: str) -> None:
    recipe = get_policy(name)
    said = [*(law.law for law in recipe.laws), *(need.words for need in recipe.needs), training_words(recipe)]
    assert [words for words in said if re.search(r"(?:\b[a-z]{2,} ){2,}", korean(words))] == []


@pytest.mark.parametrize("name", list_policies())
def test_a_translation_renders_the_english_of_today(name: str) -> None:
    """Where this fails, render the changed English in recipes_ko.toml and note its new digest there."""
    assert recipe_pages.KOREAN[name]["of"] == recipe_pages.digest(get_policy(name))


@pytest.mark.parametrize("name", list_policies())
def test_a_page_says_all_that_the_recipe_knows(name: str) -> None:
    recipe = get_policy(name)
    for language, words in recipe_pages.WORDS.items():
        page = recipe_pages.page(recipe, language)
        assert page.startswith(f"# `{name}`\n")
        roles = [f"`{law.role}`" for law in recipe.laws]
        parts = (
            str(recipe.year),
            f"## {words['right']}",
            f"## {words['wrong']}",
            f"## {words['leaves']}",
            "figure plot",
        )
        assert all(part in page for part in (*roles, *parts, *(f"`{n}={v:g}`" for n, v in recipe.numbers.items())))
    (output,) = [output for _, output in blocks.run(page, name)]
    assert output.value == (dict(recipe.numbers) or {law.role: law.law for law in recipe.laws})


def test_the_table_counts_what_the_tests_compare_and_names_what_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    good = recipe_pages.Case("w", 1.0, [1.0], True, True)
    bad = recipe_pages.Case("v", 0.02, 0.03, False, False)
    monkeypatch.setattr(recipe_pages, "_checked", lambda: {name: [good, good, bad] for name in list_policies()})
    page = recipe_pages.confirmed("en")
    assert page.count("(constants 2 / 2, stds within their interval 0 / 1) |") == len(list_policies())
    apart = page.rpartition("read again:")[2]
    assert all((f"`{name}`" in apart) == (CONFIRMED[name][0] == "words") for name in list_policies())


def test_pages_are_written_once_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe_pages, "list_policies", lambda: ["gpt2", "unet"])
    recipe_pages.write(tmp_path)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")}
    assert len(first) == 2 * 6
    recipe_pages.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")} == first


def line(start: str, seed: int, loss: float | None, **more: object) -> dict[str, object]:
    made = {"architecture": "mlp", "start": start, "lr": 0.003, "seed": seed, "steps": 1000, "status": "finished"}
    return {**made, "loss": loss, **more}


def test_starts_are_compared_by_their_mean_with_students_interval() -> None:
    """(1 + 2 + 3)/3 ± 4.3027 · 1/√3, t of two degrees of freedom; a diverged run has no mean."""
    runs = [line("auto", seed, loss) for seed, loss in enumerate((1.0, 2.0, 3.0))]
    runs += [line("gpt2", seed, 1.5) for seed in range(3)] + [line("llama", 0, None)]
    runs += [line("gpt3", 0, None, status="left out", why="the laws of gpt2")]
    runs += [line("t5", 0, None, status="left out", why="needs attention")]
    page = recipes_compared.page(runs, recipe_pages.TITLES["en"], recipe_pages.WORDS["en"])
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    assert rows == ["| `gpt2` | 1.5000 | ± 0.0000 |", "| `auto` | 2.0000 | ± 2.4841 |", "| `llama` | – | – |"]
    assert "`gpt3` (gpt2)" in page
    assert "lacks what they need: `t5`." in page


def test_best_rates_by_width_say_how_far_they_are_apart() -> None:
    shared = {"model": "mlp", "rule": "mup", "steps": 9, "batch": 4, "seeds": 2, "lrs": [0.1, 0.2]}
    lines = [
        {**shared, "width": 1024, "best": 0.1, "losses": [1.5, 2.0]},
        {**shared, "width": 64, "best": 0.15, "losses": [float("inf"), 1.25]},
    ]
    for language, words in recipe_pages.WORDS.items():
        page = recipes_transfer.page(lines, words)
        assert f"{words['apart']}: 1.50." in page, language
        rows = [row for row in page.splitlines() if row.startswith(("| 64", "| 1,024"))]
        assert rows == ["| 64 | 0.15 | 1.2500 | 2 |", "| 1,024 | 0.1 | 1.5000 | 2 |"]
        assert "figure-transfer-mlp-mup" in page


def test_a_picture_shows_equal_blocks_as_one_row() -> None:
    blocks_of = [
        (f"blocks.{i}.{part}.weight", std) for i in range(3) for part, std in (("up", 0.02), ("down", 0.1 * i))
    ]
    found = recipe_pages.of_blocks([("head.weight", None), *blocks_of])
    down = [(f"blocks.{i}.down.weight", 0.1 * i) for i in range(3)]
    assert found == [("head.weight", None), ("blocks.*.up.weight", 0.02), *down]


def test_what_is_said_of_sources_is_korean_and_every_entry_is_used() -> None:
    """Titles of papers stay; what stands after the commit of a file is said in Korean."""
    recipes = [get_policy(name) for name in list_policies()]
    english = [recipe_pages.how(recipe.name, "en") for recipe in recipes] + [recipe.cited for recipe in recipes]
    english += [get_scheme(name).source for name in list_schemes()]
    assert [words for words in sources.WORDS if not any(words in text for text in english)] == []
    said = [re.split(r"\([0-9a-f]{7}\)", sources.said(text, "ko"), maxsplit=1)[1:] for text in english]
    assert [text for parts in said for text in parts if re.search(r"(?:\b[a-z]{2,} ){2,}", text)] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("DeepNet (2022), section 4.2 and figure 2", "DeepNet (2022), 4.2절과 그림 2"),
        ("Mimetic (2023), sections 4 and 5", "Mimetic (2023), 4, 5절"),
        ("Delving deep, equations 10, 14 and 15", "Delving deep, 식 10, 14, 15"),
        ("ViT (2021), appendix B.1", "ViT (2021), 부록 B.1"),
    ],
)
def test_places_in_a_source_are_korean(source: str, expected: str) -> None:
    assert sources.said(source, "ko") == expected
    assert sources.said(source, "en") == source
