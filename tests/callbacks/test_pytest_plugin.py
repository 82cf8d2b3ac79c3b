"""The pytest plugin, in test runs of its own."""

from __future__ import annotations

import pytest

import initlab.inspection  # noqa: F401  # a run inside this process unloads what it loads, and numpy loads only once

pytest_plugins = ["pytester"]

SUITE = """
import torch
from torch import nn

def net(std):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std) if std else nn.init.zeros_(parameter)
    return model

X, Y = torch.linspace(-1, 1, 128).reshape(32, 4), torch.arange(32) % 3

def test_good(initlab_healthy):
    report = initlab_healthy(net(0.5), X, Y, optimizer="sgd")
    assert report.optimizer == "sgd"
    initlab_healthy(net(0.4), (X, Y), allow=("healthy", "slow"))

def test_bad(initlab_healthy):
    initlab_healthy(net(0.0), X, Y)
"""


@pytest.fixture
def plugin(request: pytest.FixtureRequest) -> list[str]:
    """What loads the plugin where initlab is not installed with its entry point."""
    return [] if request.config.pluginmanager.has_plugin("initlab") else ["-p", "initlab.pytest_plugin"]


def test_a_healthy_model_passes_a_hopeless_one_fails_and_pages_are_kept(
    pytester: pytest.Pytester, plugin: list[str]
) -> None:
    pytester.makepyfile(test_net=SUITE)
    result = pytester.runpytest_inprocess(*plugin, "--initlab-report", "pages")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*UntrainableError: Sequential is untrainable*"])
    pages = sorted(path.name for path in (pytester.path / "pages").iterdir())
    assert pages == ["test_net.py-test_bad.html", "test_net.py-test_good-2.html", "test_net.py-test_good.html"]
    assert "untrainable" in (pytester.path / "pages" / pages[0]).read_text()


def test_without_the_option_nothing_is_written(pytester: pytest.Pytester, plugin: list[str]) -> None:
    pytester.makepyfile(test_net=SUITE)
    pytester.runpytest_inprocess(*plugin, "-k", "good").assert_outcomes(passed=1, deselected=1)
    assert not list(pytester.path.rglob("*.html"))


def test_a_suite_that_does_not_use_it_loads_neither_torch_nor_numpy(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins load numpy
    pytester.makepyfile(
        "import sys\ndef test_light():\n    assert 'initlab.pytest_plugin' in sys.modules\n"
        "    assert not {'torch', 'numpy', 'initlab.inspection'} & set(sys.modules)"
    )
    pytester.runpytest_subprocess("-p", "initlab.pytest_plugin").assert_outcomes(passed=1)
