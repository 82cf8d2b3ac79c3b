"""Weight decay that takes the weights away: named, judged, and lowered by the fix."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab

X = torch.randn(128, 20, generator=torch.Generator().manual_seed(0))
Y = (X @ torch.randn(20, 4, generator=torch.Generator().manual_seed(1))).argmax(1)
Made = Callable[[nn.Module], torch.optim.Optimizer]


def built() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 100) -> float:
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()
    return loss.item()


TOO_MUCH: dict[str, Made] = {
    "in Adam's gradient": lambda m: torch.optim.Adam(m.parameters(), lr=1e-3, weight_decay=1.0),
    "in the gradient of descent": lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9, weight_decay=1.0),
    "beside AdamW's steps": lambda m: torch.optim.AdamW(m.parameters(), lr=1e-3, weight_decay=300.0),
    "in RMSprop's gradient": lambda m: torch.optim.RMSprop(m.parameters(), lr=1e-3, weight_decay=1.0),
}
USUAL: dict[str, Made] = {
    "Adam, 1e-4": lambda m: torch.optim.Adam(m.parameters(), lr=1e-3, weight_decay=1e-4),
    "SGD, 5e-4": lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4),
    "AdamW, 0.3": lambda m: torch.optim.AdamW(m.parameters(), lr=1e-3, weight_decay=0.3),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_decay_that_outweighs_the_loss_is_named_and_its_fix_trains(name: str) -> None:
    model = built()
    optimizer = TOO_MUCH[name](model)
    report = initlab.inspect(model, X, Y, optimizer=optimizer)
    assert report.verdict == "untrainable"
    assert (report.findings[0].kind, report.findings[0].severity) == ("weight decay", "error")
    other = built()
    assert trained(other, TOO_MUCH[name](other)) > 1.2  # a constant answer's is 1.38
    fix = report.fix()
    assert fix.cured, fix
    exec(fix.code, {"optimizer": optimizer})
    assert trained(model, optimizer) < 0.5


@pytest.mark.parametrize("name", USUAL)
def test_a_usual_decay_is_not_named(name: str) -> None:
    model = built()
    report = initlab.inspect(model, X, Y, optimizer=USUAL[name](model))
    assert "weight decay" not in [f.kind for f in report.findings]


def test_a_faint_gradient_under_a_usual_decay_is_not_blamed_on_the_decay() -> None:
    torch.manual_seed(0)
    layers = [part for _ in range(10) for part in (nn.Linear(20, 20), nn.Sigmoid())]
    model = nn.Sequential(*layers, nn.Linear(20, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    report = initlab.inspect(model, X, Y, optimizer=optimizer)
    assert report.findings
    assert "weight decay" not in [f.kind for f in report.findings]
