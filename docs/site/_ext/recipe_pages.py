"""One page a recipe in each language, made from the recipes and from the tests' numbers when the site is built."""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import recipes_compared
import recipes_transfer
import shows
import sources
import torch
from generated import escaped, listing, write_pages

import initlab
from initlab.cli.recipes import training_words
from initlab.planning import Plan, Policy, get_policy, list_policies
from initlab.planning.parameters.roles import ROLES
from initlab.reporting.blocks import ScatterFigure, Series
from initlab.reporting.figures import to_plotly
from initlab.reporting.korean import korean

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[2] / "tests" / "planning"))
from recipe_numbers import CONFIRMED, NUMBERS, Case, checks_of  # noqa: E402  # beside the tests that hold them

WORDS: dict[str, dict[str, Any]] = tomllib.loads((HERE / "recipe_words.toml").read_text(encoding="utf-8"))
KOREAN: dict[str, dict[str, str]] = tomllib.loads((HERE / "recipes_ko.toml").read_text(encoding="utf-8"))
TITLES = {language: words.pop("titles") for language, words in WORDS.items()}
RUNS, RATES = (HERE.parents[2] / "benchmarks" / f"{name}.jsonl" for name in ("recipes", "transfer"))
NUMBER = re.compile(r"(?<=\.)\d+(?=\.)|^\d+(?=\.)")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    return {"parallel_read_safe": True}


def write(site: Path) -> None:
    """The pages of every recipe below `site`, one that lists them, and what was confirmed and compared."""
    for language in WORDS:
        folder = site / language / "recipes"
        pages = {
            "index": index(language),
            "confirmed": confirmed(language),
            "compared": recipes_compared.page(recipes_compared.kept(RUNS), TITLES[language], WORDS[language]),
            "transfer": recipes_transfer.page(recipes_compared.kept(RATES), WORDS[language]),
            **{name: page(get_policy(name), language) for name in list_policies()},
        }
        write_pages(folder, pages)


def index(language: str) -> str:
    """The page that lists the recipes."""
    words = WORDS[language]
    rows = {name: prose(get_policy(name), language)["about"] for name in list_policies()}
    columns = words["recipe"], words["about"]
    return listing(words["recipes"], words["lead"], columns, rows, beside=("confirmed", "compared", "transfer"))


def page(recipe: Policy, language: str) -> str:
    """A recipe's page: laws by role, numbers, needs, training, source, when it is right and wrong, a picture."""
    words, text = WORDS[language], prose(recipe, language)
    laws = "\n".join(
        f"| `{law.role}` | {escaped(role_words(law.role, language))} | {escaped(said(law.law, language))} |"
        for law in recipe.laws
    )
    parts = [
        f"# `{recipe.name}`",
        escaped(text["about"]),
        f"## {words['laws']}\n\n| {words['role']} | {words['what']} | {words['law']} |\n|---|---|---|\n{laws}"
        f"\n\n{words['first']}",
        _facts(recipe, language),
        f"## {words['right']}\n\n{escaped(text['right'])}",
        f"## {words['wrong']}\n\n{escaped(text['wrong'])}",
        f"## {words['leaves']}\n\n{escaped(text['leaves'])}",
        f"## {words['picture']}\n\n{words['picture_lead']} {words['no_bar']}",
        f"```{{raw}} html\n{picture(recipe, words)}\n```",
        f"## {words['code']}\n\n```python\nfrom initlab.planning import get_policy\n\n{code(recipe)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def code(recipe: Policy) -> str:
    """Code that shows the recipe's numbers, which a caller may set; of one without, its laws."""
    named = f'get_policy("{recipe.name}")'
    return f"{named}.numbers" if recipe.numbers else f"{{law.role: law.law for law in {named}.laws}}"


def prose(recipe: Policy, language: str) -> dict[str, str]:
    """What the recipe does, when it is right and wrong, and what it leaves open, in the page's language."""
    english = {"about": recipe.about, "right": recipe.right, "wrong": recipe.wrong, "leaves": recipe.leaves}
    return english if language == "en" else KOREAN[recipe.name]


def role_words(role: str, language: str) -> str:
    """What a role is, in the page's language."""
    return said(ROLES[role].about, language)


def said(english: str, language: str) -> str:
    """Words that the recipes themselves use, in the page's language."""
    return english if language == "en" else korean(english)


def digest(recipe: Policy) -> str:
    """What a translation notes of the English it was made from, so that one that is out of date is found."""
    return hashlib.sha256("\n".join(prose(recipe, "en").values()).encode()).hexdigest()[:12]


def _facts(recipe: Policy, language: str) -> str:
    words = WORDS[language]
    facts = {
        words["numbers"]: ", ".join(f"`{name}={value:g}`" for name, value in recipe.numbers.items()),
        words["needs"]: "; ".join(escaped(said(need.words, language)) for need in recipe.needs),
        words["training"]: escaped(said(training_words(recipe), language)),
        words["aliases"]: ", ".join(f"`{name}`" for name in recipe.aliases),
        words["source"]: escaped(sources.said(recipe.cited, language)),
        words["confirmed_by"]: escaped(how(recipe.name, language)),
    }
    return "\n".join(f"- **{name}**: {value}" for name, value in facts.items() if value)


def how(name: str, language: str) -> str:
    """How a recipe's numbers were confirmed, and where, in the page's language."""
    kind, where = CONFIRMED[name]
    recipe = get_policy(name)
    return f"{WORDS[language][kind]}: {sources.said(where or recipe.code or recipe.source, language)}"


def picture(recipe: Policy, words: dict[str, str]) -> str:
    """The std of the parameters of the small model that the tests plan with this recipe, equal blocks as one."""
    plan = _plan(recipe.name)
    drawn = [entry for entry in plan.entries if entry.law is not None and (len(entry.shape) > 1 or entry.std)]
    stds = of_blocks((entry.name, entry.std or None) for entry in drawn)
    places = list(range(len(stds)))
    count = len(plan.entries)
    title = f"{plan.model}: {words['parameters' if count > 1 else 'parameter'].format(count)}"
    series = Series(words["std"], [std for _, std in stds], places)
    figure = to_plotly(ScatterFigure(title, words["std"], "", [series], log_x=True))
    names = {"tickmode": "array", "tickvals": places, "ticktext": [name for name, _ in stds]}
    figure.update_yaxes(range=[len(stds) - 0.4, -0.6], **names).update_layout(height=130 + 20 * len(stds))
    return shows.figure(figure, f"figure-{recipe.name}")


def of_blocks(stds: Iterable[tuple[str, float | None]]) -> list[tuple[str, float | None]]:
    """Names and stds, those of blocks that differ by their numbers alone as one name with stars.

    >>> of_blocks([("head.weight", 0.1), ("blocks.0.up.weight", 0.02), ("blocks.1.up.weight", 0.02)])
    [('head.weight', 0.1), ('blocks.*.up.weight', 0.02)]
    """
    groups: dict[str, list[tuple[str, float | None]]] = {}
    for name, std in stds:
        groups.setdefault(NUMBER.sub("*", name), []).append((name, std))
    rows: list[tuple[str, float | None]] = []
    for pattern, group in groups.items():
        alike = len(group) > 1 and len({std and f"{std:.4g}" for _, std in group}) == 1
        rows += [(pattern, group[0][1])] if alike else group
    return rows


@cache
def _plan(name: str) -> Plan:
    build, inputs, _ = NUMBERS.get(name, NUMBERS["gpt2"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return initlab.plan(build(), inputs, name)


def confirmed(language: str) -> str:
    """The table of what the tests compare, recipe by recipe, and of what could not be confirmed."""
    words = WORDS[language]
    head = f"| {words['recipe']} | {words['confirmed_by']} |\n|---|---|"
    rows = []
    for name in list_policies():
        cases = _checked()[name]
        exact, drawn = [case for case in cases if case.exact], [case for case in cases if not case.exact]
        counts = ((words["constants"], exact), (words["intervals"], drawn))
        counted = ", ".join(f"{kind} {_count(found)}" for kind, found in counts if found)
        said = escaped(how(name, language))
        rows.append(f"| [`{name}`]({name}.md) | {said}{f' ({counted})' if counted else ''} |")
    apart = ", ".join(f"`{name}`" for name in list_policies() if CONFIRMED[name][0] == "words")
    return "\n\n".join(
        (
            f"# {words['confirmed_title']}",
            words["confirmed_lead"],
            f"{head}\n" + "\n".join(rows),
            f"## {words['not_confirmed']}",
            f"{words['not_confirmed_lead']} {apart}.\n",
        )
    )


def _count(cases: list[Case]) -> str:
    return f"{sum(case.holds for case in cases)} / {len(cases)}"


@cache
def _checked() -> dict[str, list[Case]]:
    make: Callable[[str], list[Case]] = checks_of
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {name: make(name) if name in NUMBERS else [] for name in list_policies()}
