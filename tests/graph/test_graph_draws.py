"""What is drawn for running parts of a model again: the numbers of one generator, each drawn once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.graph import draws
from initlab.graph import kept as graph_kept
from initlab.graph.draws import Draws, Kept

ASKED = [("normal", (5, 7)), ("uniform", (3,)), ("normal", (40,)), ("normal", (2, 2)), ("uniform", (6, 2))]


def plainly(asked: list[tuple[str, tuple[int, ...]]]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    call = {"normal": torch.randn, "uniform": torch.rand}
    return [call[law](shape, generator=generator) for law, shape in asked]


def by(kept: Kept, asked: list[tuple[str, tuple[int, ...]]]) -> list[torch.Tensor]:
    drawing = Draws(kept)
    return [getattr(drawing, law)(shape) for law, shape in asked]


@pytest.mark.parametrize("room", [0, 35, 38, 100, 10_000])
@pytest.mark.parametrize("other", [ASKED, ASKED[:2], [*ASKED[:2], ("normal", (9,)), *ASKED], ASKED[::-1]])
def test_they_are_those_of_one_generator_whatever_was_drawn_before(
    other: list[tuple[str, tuple[int, ...]]], room: int
) -> None:
    kept = Kept(room=room)
    for asked in (ASKED, other, ASKED, other):
        assert all(map(torch.equal, by(kept, asked), plainly(asked)))


@pytest.mark.parametrize("room", [0, 35, 10_000])
def test_what_is_kept_fits_the_room(room: int) -> None:
    kept = Kept(room=room)
    by(kept, ASKED)
    assert kept.room >= 0
    again = map(torch.Tensor.data_ptr, by(kept, ASKED))
    same = [a == b.data_ptr() for a, b in zip(again, by(kept, ASKED), strict=True)]
    assert all(same) == (room == 10_000)


def encoder(depth: int) -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


class Attention(nn.Module):
    """Queries, keys and values of one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.made, self.out = nn.LayerNorm(32), nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (4, 8)).transpose(1, 2) for part in self.made(self.norm(x)).chunk(3, -1))
        return x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def attention(depth: int) -> nn.Module:
    return nn.Sequential(*(Attention() for _ in range(depth)))


def numbers_drawn(build: Callable[[int], nn.Module], depth: int, monkeypatch: pytest.MonkeyPatch) -> int:
    drawn = [0]

    def counted(*args: Any, **kwargs: Any) -> torch.Tensor:
        made = randn(*args, **kwargs)
        drawn[0] += made.numel()
        return made

    torch.manual_seed(0)
    model, x, randn = build(depth), torch.randn(4, 10, 32), torch.randn
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", counted)
        patch.setattr("initlab.graph.operations.attention.KEPT", graph_kept.Kept())  # what other tests asked for
        initlab.plan(model, x)
    return drawn[0]


@pytest.mark.parametrize("build", [encoder, attention])
def test_more_layers_alike_draw_no_more_numbers(
    build: Callable[[int], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (numbers_drawn(build, depth, monkeypatch) for depth in (4, 9))
    assert 0 < few == many


def test_what_is_made_of_numbers_is_kept_while_it_is_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "MOST", 40)
    monkeypatch.setattr(draws, "FEWEST", 5)
    kept, numbers, few = Kept(), torch.ones(6), torch.ones(4)
    assert kept.made((few,), "twice", lambda: 2 * few) is not kept.made((few,), "twice", lambda: 2 * few)
    first = kept.made((numbers,), "twice", lambda: 2 * numbers)
    assert kept.made((numbers,), "twice", lambda: 2 * numbers) is first
    assert kept.made((numbers,), "thrice", lambda: 3 * numbers).tolist() == [3.0] * 6
    assert kept.made((numbers,), "twice", lambda: 2 * numbers) is not first  # 12 numbers are more than a quarter of 40
