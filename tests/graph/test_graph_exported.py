"""Models that torch.export made, which call aten's operators; and functions of torch whose arguments stand turned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import initlab

PICTURES = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(0, 50, (16, 6), generator=torch.Generator().manual_seed(1))
Y = torch.arange(16) % 5


class Read(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm, self.head = nn.Embedding(50, 32), nn.LayerNorm(32), nn.Linear(32, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.head(torch.relu_(self.norm(self.table(tokens)) * 1.0).mean(1))
        return out


def _convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.GroupNorm(2, 8), nn.GELU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


@pytest.mark.parametrize(("build", "inputs"), [(Read, TOKENS), (_convolutional, PICTURES)])
@pytest.mark.parametrize("decomposed", [False, True])
def test_an_exported_model_is_planned_as_the_model_it_was(
    build: type[nn.Module], inputs: Tensor, decomposed: bool
) -> None:
    program = torch.export.export(build(), (inputs,))
    exported = (program.run_decompositions() if decomposed else program).module()
    ours, own = initlab.plan(exported, inputs), initlab.plan(build(), inputs)
    assert not ours.warnings
    for entry, other in zip(ours.entries, own.entries, strict=True):
        assert (entry.name, entry.role) == (other.name, other.role)
        if entry.geometry is not None and other.geometry is not None:
            assert entry.geometry.fan_in == other.geometry.fan_in
        assert (entry.std or 0.0) == pytest.approx(other.std or 0.0, rel=0.1)


def test_an_exported_model_is_inspected_in_the_one_mode_that_it_has() -> None:
    exported = torch.export.export(_convolutional(), (PICTURES,)).module()
    report = initlab.inspect(exported, PICTURES, Y)
    assert [layer.kind for layer in report.layers][:3] == ["conv2d", "batch_norm", "relu"]


class Turned(nn.Module):
    """The scale stands second in torch.batch_norm, fourth in torch.nn.functional's."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)
        self.scale, self.shift = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8))
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        x = getattr(torch, self.norm)(self.first(x), self.scale, self.shift, None, None, True, 0.1, 1e-5, False)
        out: Tensor = self.head(torch.relu(x).mean((2, 3)))
        return out


@pytest.mark.parametrize("norm", ["batch_norm", "instance_norm"])
def test_the_scale_of_a_norm_of_torch_is_a_scale(norm: str) -> None:
    plan = initlab.plan(Turned(norm), PICTURES)
    assert (plan["scale"].role, plan["shift"].role) == ("norm_weight", "norm_bias")
