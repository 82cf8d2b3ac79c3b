"""The code that pages offer to copy runs as pasted, on a model of the reader's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.cli.recipes import explained as recipe_section
from initlab.cli.schemes import explained as scheme_section
from initlab.planning import get_policy
from initlab.reporting import Code, Page, Section
from initlab.reporting.shown import page_of

X, Y = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 3


def build(std: float | None = None) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    if std is not None:
        nn.init.normal_(model[0].weight, std=std)
    return model


def page(section: Section) -> Page:
    return Page("", "", [section])


def comparison() -> Page:
    result = initlab.compare(
        build, (X, Y), (X, Y), schemes=["he_normal", initlab.get_scheme("normal", std=0.2)], seeds=1, steps=3, lr=0.01
    )
    return page_of(result)


PAGES: dict[str, Callable[[], Page]] = {
    "healthy": lambda: page_of(initlab.inspect(initlab.init_(model := build()) and model, X, Y)),
    "too small": lambda: page_of(initlab.inspect(build(1e-6), X, Y)),
    "fix": lambda: page_of(initlab.inspect(build(1e-6), X, Y).fix()),
    "plan": lambda: page_of(initlab.plan(build(), X)),
    "plan of a scheme": lambda: page_of(initlab.plan(build(), X, initlab.get_scheme("normal", std=0.2))),
    "audit": lambda: page_of(initlab.audit(build())),
    "compare": comparison,
    "scheme": lambda: page(scheme_section(initlab.get_scheme("truncated_normal", std=0.3))),
    "recipe": lambda: page(recipe_section(get_policy("torch_default"))),
}


def codes(shown: Page) -> Iterator[str]:
    return (block.code for section in shown.sections for block in section.blocks if isinstance(block, Code))


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs_as_pasted(name: str) -> None:
    found = list(codes(PAGES[name]()))
    assert found
    for code in found:
        names: dict[str, Any] = {"model": build(), "inputs": X, "targets": Y, "loss": None, "lr": 1e-3}
        exec(code, names)  # the page's own code: what a reader would paste
        assert all(parameter.isfinite().all() for parameter in names["model"].parameters())


@pytest.mark.parametrize("name", initlab.list_schemes())
def test_the_code_of_a_scheme_fits_a_terminal(name: str) -> None:
    (code,) = codes(page(scheme_section(initlab.get_scheme(name))))
    assert max(map(len, code.splitlines())) <= 76  # and an indent of four
    compile(code, name, "exec")


def test_a_plan_of_a_mapping_offers_no_code() -> None:
    assert not list(codes(page_of(initlab.plan(build(), X, {"0.weight": "he_normal"}))))
