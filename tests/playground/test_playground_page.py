"""The page at work: its passes agree with torch's on the code that it shows, and it goes back to the same start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import headless
import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from initlab import InputError, inspect, list_schemes, playground
from initlab.inspection.verdict import FACTS
from initlab.playground.settings import settings
from initlab.theory import activation

PLAIN = {
    "data": "moons", "inputs": 2, "classes": 2, "depth": 4, "width": 16, "activation": "tanh", "norm": "none",
    "skip": False, "scheme": "xavier_normal", "size": None, "seed": 5, "scale": 1.0,
}  # fmt: skip
DIGITS = {"data": "digits", "inputs": 64, "classes": 10, "width": 64, "activation": "relu", "scheme": "he_normal"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return playground.save(tmp_path_factory.mktemp("page") / "playground.html")


@pytest.fixture(scope="module")
def tab(browser: headless.Browser, page: Path) -> Iterator[headless.Tab]:
    opened = browser.open(page)
    yield opened
    opened.close()


def model_of(tab: headless.Tab, config: dict[str, Any]) -> Any:
    """The model that the page's own Python code makes."""
    made: dict[str, Any] = {}
    exec(tab.run(f"playground.pythonOf({json.dumps(config)})"), made)
    return made["model"]


def passed(tab: headless.Tab, config: dict[str, Any]) -> Any:
    """The page's batch, loss and gradients for a config."""
    return tab.run(f"""(() => {{
        const config = {json.dumps(config)}, network = playground.started(config);
        const batch = playground.batchOf(playground.dataset(config.data), 0, 64, config.scale);
        playground.forward(network, batch.x, 64);
        const loss = playground.backward(network, batch.labels);
        const parameters = playground.parametersOf(network);
        return {{ x: Array.from(batch.x), labels: Array.from(batch.labels), loss,
                 values: parameters.map((p) => [p.name, Array.from(p.values), Array.from(p.grad)]) }};
    }})()""")


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"norm": "batch", "activation": "relu", "scheme": "he_uniform"}, {"norm": "layer", "skip": True},
        {"skip": True, "activation": "gelu", "scale": 3.0}, {"scheme": "normal", "size": 0.3, "activation": "sin"},
        {"scheme": "he_normal", "size": 1.5, "activation": "silu"}, DIGITS | {"skip": True, "norm": "batch"},
    ],
)  # fmt: skip
def test_agrees_with_torch(tab: headless.Tab, changes: dict[str, Any]) -> None:
    """The same start to the last bit; loss and gradients to what single precision leaves over a few layers."""
    config = PLAIN | changes
    found, model = passed(tab, config), model_of(tab, config)
    x = torch.tensor(found["x"], dtype=torch.float32).reshape(64, -1)
    loss = cross_entropy(model(x), torch.tensor(found["labels"]))
    loss.backward()
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-5)
    own = dict(model.named_parameters())
    assert [name for name, *_ in found["values"]] == list(own)
    for name, values, gradient in found["values"]:
        torch.testing.assert_close(
            torch.tensor(values, dtype=torch.float32).reshape(own[name].shape), own[name].data, rtol=0, atol=0
        )
        wanted = own[name].grad.reshape(-1).numpy()
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5 * float(abs(wanted).max()) + 1e-7)


@pytest.mark.parametrize("scheme", list_schemes())
def test_every_scheme_starts_as_in_python(tab: headless.Tab, scheme: str) -> None:
    """To rounding, for orthogonal factors' sake; that the others agree to the last bit is tested with the laws."""
    config = PLAIN | {"scheme": scheme, "depth": 2}
    own = dict(model_of(tab, config).named_parameters())
    for name, values, _ in passed(tab, config)["values"]:
        np.testing.assert_allclose(values, own[name].detach().reshape(-1).numpy(), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"scheme": "zeros", "activation": "relu"}, {"no gradient"}),
        ({"scheme": "normal", "size": 1e-12, "depth": 12, "activation": "relu"}, {"no gradient"}),
        ({"scheme": "normal", "size": 0.01, "depth": 12, "activation": "sigmoid"}, {"one answer"}),
        ({"scheme": "constant", "activation": "sigmoid"}, {"no rate"}),  # its one answer rests on rounding in Python
        ({"scheme": "ones", "activation": "relu", "depth": 1}, set()),
        ({}, set()),
    ],
)
def test_verdict_is_pythons(tab: headless.Tab, changes: dict[str, Any], facts: set[str]) -> None:
    config = PLAIN | changes
    found, model = passed(tab, config), model_of(tab, config)
    call = "playground.judge(playground.started(c), 'sgd', playground.batchOf(playground.dataset(c.data), 0, 64, 1))"
    judged = tab.run(f"((c) => {call})({json.dumps(config)})")
    assert facts <= set(judged["facts"])
    assert bool(facts) == bool(judged["facts"])
    x, labels = torch.tensor(found["x"], dtype=torch.float32).reshape(64, -1), torch.tensor(found["labels"])
    report = inspect(model, x, labels, optimizer="sgd")
    if facts:
        assert report.verdict == judged["word"]
        assert {FACTS[fact].words for fact in facts} <= set(report.because)
        assert set(report.because) <= {FACTS[fact].words for fact in judged["facts"]}
        assert report.probability["untrainable"] == pytest.approx(judged["probability"])
    symmetric = [finding for finding in report.findings if finding.kind == "symmetric"]
    assert bool(symmetric) == bool(judged["equal"])
    if symmetric:
        equal = judged["equal"]
        assert symmetric[0].where == equal["name"]
        assert f"{equal['units']} units have {equal['distinct']} distinct" in symmetric[0].evidence
    assert report.learning_rate is not None or facts
    for rate, loss, _ in judged["line"] if report.learning_rate is not None else ():
        assert dict(report.learning_rate.tried)[rate] == pytest.approx(loss, rel=1e-4)


def test_activations_are_those_of_theory(tab: headless.Tab) -> None:
    """Φ of gelu is an approximation to 2e-7; slopes are checked against differences."""
    x = np.linspace(-6.0, 6.0, 41) + 0.013
    found = tab.run(
        f"((x) => [...playground.ACTIVATIONS.values()].map((a) => [a.name, x.map(a.f), x.map(a.slope)]))({x.tolist()})"
    )
    for name, values, slopes in found:
        f = activation(name)
        np.testing.assert_allclose(values, f(x), rtol=1e-6, atol=2e-6, err_msg=name)
        np.testing.assert_allclose(slopes, (f(x + 1e-6) - f(x - 1e-6)) / 2e-6, rtol=1e-4, atol=1e-5, err_msg=name)


def test_rewind_is_the_same_start(tab: headless.Tab) -> None:
    values = "playground.parametersOf(playground.state.run.network).map((p) => Array.from(p.values))"
    before = tab.run(values)
    tab.run("for (let i = 0; i < 20; i++) playground.trainStep(playground.state.run, 0.1)")
    losses = tab.run("playground.state.run.losses")
    assert tab.run(values) != before
    assert losses[-1] < losses[0]
    tab.run("document.getElementById('rewind').click()")
    assert tab.run(values) == before
    tab.run("for (let i = 0; i < 20; i++) playground.trainStep(playground.state.run, 0.1)")
    assert tab.run("playground.state.run.losses") == losses


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (400, True)])
def test_fits_in_both_languages(browser: headless.Browser, page: Path, width: int, dark: bool) -> None:
    tab = browser.open(page, width=width, dark=dark)
    for language in ("en", "ko"):
        assert tab.run("document.documentElement.lang") == language
        assert tab.run("document.documentElement.scrollWidth") <= width
        assert tab.run("[...document.querySelectorAll('[data-word]')].filter(e => !e.textContent).length") == 0
        tab.run("document.getElementById('language').click()")
    assert tab.trouble() == []
    assert tab.requests() == []
    tab.close()


def test_words_stand_in_both_languages() -> None:
    words = settings()["words"]
    elsewhere = {f"fact.{name}" for name in FACTS} | {f"source.{name}" for name in list_schemes()}
    for key, (english, korean) in words.items():
        assert korean, key
        assert english or key in elsewhere, key
        assert english == "" or english.count("{") == korean.count("{"), key


def test_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="director"):
        playground.save(tmp_path)
