"""The table of operations: one record a kind, from which plan and inspection read all that they know of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

import initlab
from initlab.errors import InputError
from initlab.graph import operations, record, regions
from initlab.graph.operations import FAMILIES, TABLE, Op, Table
from initlab.graph.recording import Operation
from initlab.graph.weights import Shapes, Views, WeightUse, from_axes, value_of, view_of


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ((Op(("relu",)), Op(("tanh", "relu"))), r"operation 'relu' is given twice"),
        (
            (
                Op(
                    ("relu", "relu"),
                ),
            ),
            r"operation 'relu' is given twice",
        ),
        ((Op(("atan",)), Op(("arctan",), names=("atan",))), r"operation 'atan' is given twice"),
        ((Op(("cat", "stack"), names=("concat",)),), r"names \('concat',\) must be spellings of one kind"),
    ],
)
def test_a_kind_or_a_spelling_has_one_record(records: tuple[Op, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Table(records)


@pytest.mark.parametrize("kind", sorted(TABLE))
def test_every_record_can_be_reached(kind: str) -> None:
    """A record under a spelling that is rewritten to another is never asked."""

    def called() -> None: ...

    called.__name__ = kind
    assert TABLE.kind_of(called) == kind


def test_every_family_is_joined() -> None:
    files = {path.stem for path in Path(operations.__path__[0]).glob("*.py")} - {"__init__", "op", "simulated"}
    assert {family.__name__.rpartition(".")[2] for family in FAMILIES} == files
    assert len(TABLE) == sum(len(op.kinds) for family in FAMILIES for op in family.OPS)


def test_a_kind_without_a_record_is_measured() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    plain = TABLE["special_i0e"]
    assert (plain.keeps, plain.linear, plain.weights, plain.kinds) == ("none", False, None, ())
    assert record(net, torch.zeros(1, 8)).operations[0].traits is TABLE["linear"]


def project(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x @ weight, as a library's own function that torch function modes see as one call."""
    if has_torch_function((x, weight)):
        return handle_torch_function(project, (x, weight), x, weight)
    return x @ weight


def _projected(operation: Operation, views: Views, shapes: Shapes) -> list[WeightUse]:
    weight = view_of(operation.argument(1, "weight"), views)
    if weight is None:
        return []
    return [WeightUse(weight, "weight", value_of(operation.argument(0, "x")), from_axes(weight, [0], [1], []))]


PROJECT = Op(("project",), weights=_projected, combines="contraction", units=1)


class Projecting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.randn(6, 10, generator=torch.Generator().manual_seed(0)))
        self.out = nn.Linear(10, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(project(torch.tanh(x), self.map)))


def test_an_operation_is_one_record() -> None:
    x = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))

    def seen() -> tuple[Any, ...]:
        entry = initlab.plan(Projecting(), x)["map"]
        units = next(p.units for p in initlab.inspect(Projecting(), x).parameters if p.name == "map")
        return entry.role, entry.fans and (entry.fans.fan_in, entry.fans.fan_out), "tanh" in entry.reason, units

    with TABLE.also(PROJECT):
        assert seen() == ("weight", (6.0, 10.0), True, 10)
    assert seen() == ("other", None, False, None)
    assert "project" not in TABLE


def test_a_record_beside_the_table_takes_no_kind_that_it_has() -> None:
    with pytest.raises(InputError, match=r"'linear' is given twice"), TABLE.also(PROJECT, Op(("linear",))):
        pass
    assert "project" not in TABLE
    assert TABLE["linear"].weights is not None


CUTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "chunk": lambda y: y.chunk(3, -1),
    "split": lambda y: y.split(16, dim=-1),
    "split into sizes": lambda y: torch.split(y, [16, 16, 16], 2),
    "tensor_split": lambda y: y.tensor_split(3, dim=2),
    "narrow": lambda y: [y.narrow(-1, 16 * i, 16) for i in range(3)],
    "slices": lambda y: [y[..., 16 * i : 16 * i + 16] for i in range(3)],
    "slices with a new axis": lambda y: [y[:, None, :, 16 * i : 16 * i + 16].squeeze(1) for i in range(3)],
    "unbind": lambda y: y.view(4, 6, 3, 16).unbind(2),
    "select": lambda y: [y.view(4, 6, 3, 16).select(2, i) for i in range(3)],
    "index": lambda y: [y.view(4, 6, 3, 16)[:, :, i] for i in range(3)],
    "permuted, indexed": lambda y: [y.view(4, 6, 3, 16).permute(2, 0, 1, 3)[i] for i in range(3)],
    "past a new axis": lambda y: [part.squeeze(1) for part in y.unsqueeze(1).chunk(3, -1)],
    "past moved axes": lambda y: [part.movedim(1, -1) for part in y.movedim(-1, 1).chunk(3, 1)],
    "past swapped axes": lambda y: [part.mT for part in y.mT.chunk(3, 1)],
}


class Cut(nn.Module):
    def __init__(self, cut: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.cut, self.qkv, self.out = cut, nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.cut(self.qkv(x))
        return x + self.out((q @ k.mT / 4).softmax(-1) @ v)


@pytest.mark.parametrize("way", CUTS)
def test_a_projection_that_is_cut_is_packed_whatever_cuts_it(way: str) -> None:
    entry = initlab.plan(Cut(CUTS[way]), torch.randn(4, 6, 16), "xavier_normal")["qkv.weight"]
    assert entry.geometry is not None
    assert entry.geometry.packing is not None
    assert entry.geometry.packing.sizes == (16, 16, 16)


WEIGHT_CUTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "chunk": lambda w: w.chunk(2),
    "split": lambda w: w.split([8, 8], 0),
    "narrow": lambda w: [w.narrow(0, 0, 8), w.narrow(0, 8, 8)],
    "slices": lambda w: [w[:8], w[8:]],
    "slices and an ellipsis": lambda w: [w[:8, ...], w[8:, ...]],
    "cast, cut": lambda w: [part.float() for part in w.double().chunk(2)],
    "moved, cut": lambda w: [part.moveaxis((0, 1), (1, 0)) for part in w.moveaxis([0, 1], [1, 0]).chunk(2, 1)],
    "transposed, cut": lambda w: [part.t() for part in w.t().chunk(2, 1)],
}


class CutWeight(nn.Module):
    def __init__(self, cut: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.cut, self.both = cut, nn.Parameter(torch.zeros(16, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.cut(self.both)
        return nn.functional.linear(x, first).sigmoid() * nn.functional.linear(x, second)


@pytest.mark.parametrize("way", WEIGHT_CUTS)
def test_a_weight_that_is_cut_is_packed_whatever_cuts_it(way: str) -> None:
    (use, _) = record(CutWeight(WEIGHT_CUTS[way]), torch.zeros(3, 6)).uses("both")
    assert use.geometry is not None
    assert (use.geometry.fan_in, use.geometry.fan_out) == (6.0, 8.0)
    assert use.geometry.packing is not None
    assert (use.geometry.packing.axis, use.geometry.packing.sizes) == (0, (8, 8))


class Sinkhorn(nn.Module):
    """Rows and columns divided by their sums in turn (hyper-connections)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def shares(self, x: torch.Tensor) -> torch.Tensor:
        shares = x.exp()
        for _ in range(10):
            shares = F.normalize(F.normalize(shares, p=1, dim=-1), p=1, dim=-2)
        return shares

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.shares(x))


def test_repeated_shares_are_measured_once_and_where_something_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    measure = regions._measured
    monkeypatch.setattr(regions, "_measured", lambda *given: (measured.append(1), measure(*given))[1])
    model, x = Sinkhorn(), torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    feeds = record(model, x).uses("layer.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(float(model.shares(x).square().mean()), rel=0.25)
    assert len(measured) == 1  # twenty before, each of a longer way
