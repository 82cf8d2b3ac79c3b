"""`initlab recipes [NAME]`: the recipes for whole models, or one explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from initlab.cli import completing, options, output
from initlab.reporting import Code, Column, Page, Section, Table
from initlab.schemes.calls import start_code

if TYPE_CHECKING:
    from initlab.planning import Policy


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One recipe to explain.", autocompletion=completing.recipes)
    ] = None,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """List the recipes for whole models, or explain one.

    Laws by role, numbers, what the model must have, source, the training that belongs to it, its uses and misuses.

    Example: initlab recipes gpt2
    """
    from initlab.planning import get_policy, list_policies  # lazy: planning loads torch

    target = output.checked_report(report)
    shown: Table | Page
    data: Any
    if name is None:
        recipes = [get_policy(each) for each in list_policies()]
        shown, data = _listed(recipes), [record(recipe) for recipe in recipes]
        page = Page("Recipes", "", [Section("All", [shown]), *(explained(recipe) for recipe in recipes)])
    else:
        recipe = get_policy(name)
        shown = page = Page(recipe.name, recipe.about, [explained(recipe)])
        data = record(recipe)
    output.show(shown, page, data, as_json=as_json, report=target)


def _listed(recipes: Sequence[Policy]) -> Table:
    columns = (
        Column("recipe", kind="code", keep=9),
        Column("what it does", keep=8),
        Column("year", "right", "text", 3),
    )
    rows = [(recipe.name, recipe.about, str(recipe.year)) for recipe in recipes]
    return Table("Recipes for whole models", columns, rows, "initlab recipes NAME explains one.")


def explained(recipe: Policy) -> Section:
    """All that a recipe says of itself."""
    facts = [(f"law: {law.role}", law.law) for law in recipe.laws]
    facts += [
        ("numbers", ", ".join(f"{key}={value:g}" for key, value in recipe.numbers.items())),
        ("needs", "; ".join(need.words for need in recipe.needs)),
        ("training", training_words(recipe)),
        ("right", recipe.right),
        ("wrong", recipe.wrong),
        ("left open", recipe.leaves),
        ("also called", ", ".join(recipe.aliases)),
        ("source", recipe.cited),
        ("in code", recipe.code),
    ]
    rows = [(key, value) for key, value in facts if value]
    code = Code("Copy this start", start_code(recipe.name))
    return Section(recipe.name, [Table("", (Column("", keep=9), Column(recipe.name, keep=9)), rows), code])


def training_words(recipe: Policy) -> str:
    """The optimizer's settings in words."""
    made = recipe.training
    if made is None:
        return ""
    numbers = {"rate": made.lr, "eps": made.eps, "decay": made.weight_decay}
    parts = [made.optimizer, *(f"{key} {value:g}" for key, value in numbers.items() if value is not None)]
    parts.insert(2, f"betas {', '.join(f'{beta:g}' for beta in made.betas)}" if made.betas else "")
    return "; ".join(part for part in (*parts, made.schedule, made.more) if part)


def record(recipe: Policy) -> dict[str, Any]:
    """A recipe as plain values."""
    return {
        "name": recipe.name,
        "about": recipe.about,
        "laws": {law.role: law.law for law in recipe.laws},
        "numbers": dict(recipe.numbers),
        "needs": [need.words for need in recipe.needs],
        "training": training_words(recipe),
        "right": recipe.right,
        "wrong": recipe.wrong,
        "leaves": recipe.leaves,
        "aliases": list(recipe.aliases),
        "source": recipe.source,
        "code": recipe.code,
        "year": recipe.year,
    }
