"""What people and machines see of an inspection: text, frame, figure, HTML, JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import initlab

X = torch.linspace(-2, 2, 32 * 8).reshape(32, 8).cos()
HOSTILE = "<img src=x onerror=alert(1)>"


def deep(layers: int, width: int = 8) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(*[m for _ in range(layers // 2) for m in (nn.Linear(width, width), nn.Tanh())])


def hostile() -> nn.Module:
    model = nn.Module()
    model.add_module(HOSTILE, nn.Linear(8, 8))
    model.add_module("\x1b[31mred\n\u202e", nn.Linear(8, 8))
    model.forward = lambda x: model._modules["\x1b[31mred\n\u202e"](model._modules[HOSTILE](x).relu())  # type: ignore[assignment]
    return model


def test_the_text_fits_eighty_columns_with_findings_before_the_table() -> None:
    model = deep(20)
    for p in model.parameters():
        nn.init.zeros_(p)
    shown = repr(initlab.inspect(model, X))
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert "untrainable" in lines[0]
    assert shown.index("symmetric at") < shown.index("step/weight")


@pytest.mark.parametrize(
    ("asked", "forward", "backward"),
    [
        ({"line_probe": False}, 1, 1),
        ({"optimizer": "adamw"}, 1 + 5, 1),
        ({"optimizer": "sgd"}, 1 + 6, 1),
        ({"optimizer": "sgd", "lr": 0.03}, 1 + 7, 1),
    ],
)
def test_the_report_says_how_many_passes_it_took(asked: dict[str, Any], forward: int, backward: int) -> None:
    """Counted by hooks of the model's own beside it."""
    torch.manual_seed(0)
    model, calls = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4)), []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    report = initlab.inspect(model, torch.randn(64, 8), torch.arange(64) % 4, **asked)
    assert report.passes == {"forward": forward, "backward": backward}
    assert len(calls) == forward
    words = f"{forward} forward {'pass' if forward == 1 else 'passes'}, 1 backward pass"
    assert words in str(report)


def test_a_long_table_loses_its_middle() -> None:
    shown = repr(initlab.inspect(deep(200), X))
    assert "… 160 layers" in shown
    assert len(shown.splitlines()) < 80
    assert "\n199 " in shown


def test_names_are_shown_as_text_everywhere(tmp_path: Path) -> None:
    report = initlab.inspect(hostile(), X)
    assert "\x1b" not in repr(report)
    assert "<img" not in report._repr_html_()
    assert "&lt;img" in report._repr_html_()
    report.save(tmp_path / "x.html")
    assert "<img src=x" not in (tmp_path / "x.html").read_text()
    json.loads((report.save(tmp_path / "x.json")).read_text())


def test_the_frame_has_one_row_a_layer() -> None:
    report = initlab.inspect(deep(10), X)
    frame = report.to_frame()
    assert list(frame["name"]) == [x.name for x in report.layers]
    assert list(frame["std"]) == [x.std for x in report.layers]
    assert {"between", "saturated", "dead", "grad_rms", "update_ratio", "duplicated"} <= set(frame.columns)


def test_the_figure_shows_signal_and_gradient_on_a_log_axis() -> None:
    figure = initlab.inspect(deep(10), X).figure()
    names = [trace.name for trace in figure.data if trace.name]
    assert (names[0], "theory" in names[1], names[2:]) == ("signal", True, ["gradient of the loss"])
    assert figure.layout.yaxis.type == "log"


def test_json_holds_everything_and_is_strict(tmp_path: Path) -> None:
    model = deep(6)
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    report = initlab.inspect(model, X)
    data = json.loads(report.save(tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    assert data["verdict"] == "untrainable"
    assert data["findings"][0]["kind"] == "non-finite"
    assert len(data["layers"]) == 6
    assert len(data["layers"][0]["counts"]) in (0, 40)


def test_html_leads_with_the_findings(tmp_path: Path) -> None:
    model = deep(12)
    for p in model.parameters():
        nn.init.constant_(p, 0.5)
    page = initlab.inspect(model, X).save(tmp_path / "x.html").read_text()
    body = page[page.index("<body") :]
    assert body.index("symmetric at 0.weight") < body.index("All on one axis")


def test_a_report_of_ten_thousand_layers_stays_usable(tmp_path: Path) -> None:
    report = initlab.inspect(deep(100), X)
    layers = tuple(dataclasses.replace(report.layers[i % 100], index=i, name=f"block.{i}") for i in range(10_000))
    long = dataclasses.replace(report, layers=layers)
    assert long.save(tmp_path / "x.html").stat().st_size < 20e6
    assert len(repr(long).splitlines()) < 90


@pytest.mark.nightly
def test_ten_thousand_layers_are_inspected() -> None:
    report = initlab.inspect(deep(10_000), X)
    assert [x.index for x in report.layers] == list(range(10_000))
    assert len(repr(report).splitlines()) < 90
