"""Positions beside patches are as large as they are; beside rows of tokens they stay small."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import initlab
from initlab.planning.sizes.targets import PLACE

PICTURES = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
IDS = torch.randint(100, (8, 16), generator=torch.Generator().manual_seed(0))


class Patches(nn.Module):
    """Patches by a convolution, a norm of them or not, learned positions in a parameter or a table, one layer."""

    def __init__(self, table: bool = False, norm: bool = False) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 64, 4, 4)
        self.norm = nn.LayerNorm(64) if norm else nn.Identity()
        self.place = nn.Embedding(16, 64) if table else nn.Parameter(0.02 * torch.randn(1, 16, 64))
        self.layer = nn.TransformerEncoderLayer(64, 2, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        place = self.place(torch.arange(16)) if isinstance(self.place, nn.Embedding) else self.place
        made: torch.Tensor = self.head(self.layer(self.norm(self.patch(x).flatten(2).mT) + place).mean(1))
        return made


class Words(nn.Module):
    """The same of rows that tokens pick."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.place = nn.Embedding(100, 64), nn.Parameter(0.02 * torch.randn(1, 16, 64))
        self.layer = nn.TransformerEncoderLayer(64, 2, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(64, 100)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(self.layer(self.rows(ids) + self.place))
        return made


class Sliced(nn.Module):
    """Rows and positions of two tables, of which the positions' is looked up or a slice of its weight."""

    def __init__(self, called: bool) -> None:
        super().__init__()
        self.rows, self.place, self.called = nn.Embedding(100, 64), nn.Embedding(20, 64), called
        self.layer = nn.TransformerEncoderLayer(64, 2, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 100)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        place = self.place(torch.arange(ids.shape[1])) if self.called else self.place.weight[None, : ids.shape[1]]
        made: torch.Tensor = self.head(self.norm(self.layer(self.rows(ids) + place)))
        return made


class Bare(nn.Module):
    """Positions that are added to the data itself."""

    def __init__(self) -> None:
        super().__init__()
        self.place, self.first, self.last = (
            nn.Parameter(0.02 * torch.randn(16, 16)),
            nn.Linear(16, 64),
            nn.Linear(64, 4),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(torch.relu(self.first(x[:, 0] + self.place)).mean(1))
        return made


@pytest.mark.parametrize("table", [False, True], ids=["a parameter", "a table"])
@pytest.mark.parametrize("norm", [False, True], ids=["patches", "normed patches"])
def test_positions_beside_patches_are_as_large_as_they_are(table: bool, norm: bool) -> None:
    model = Patches(table, norm)
    plan = initlab.init_(model, example_inputs=PICTURES)
    patches = model.norm(model.patch(PICTURES).flatten(2).mT)
    place = model.place.weight if isinstance(model.place, nn.Embedding) else model.place
    assert place.square().mean().item() == pytest.approx(PLACE * patches.square().mean().item(), rel=0.3)
    assert "a share of what it is added to" in plan["place.weight" if table else "place"].reason


def test_beside_rows_and_the_data_itself_they_stay_small() -> None:
    assert initlab.plan(Words(), IDS)["place"].std == 0.02
    assert initlab.plan(Bare(), PICTURES)["place"].std == 0.02


def test_a_slice_of_a_table_holds_positions_as_its_rows_do() -> None:
    called, sliced = (initlab.plan(Sliced(called), IDS) for called in (True, False))
    assert {e.name: e.std for e in sliced.entries} == {e.name: e.std for e in called.entries}
    assert "a share of what it is added to" in sliced["place.weight"].reason


def test_a_std_that_was_asked_for_is_made_no_larger() -> None:
    policy = initlab.get_policy("auto", position_std=0.1)
    assert initlab.plan(Patches(), PICTURES, policy)["place"].std == 0.1
