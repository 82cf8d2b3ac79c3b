"""Regions are run on several turns of noise at once: what is seen of them is what is seen of one after another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from initlab.graph import record, turns
from initlab.graph.draws import Draws, Kept
from initlab.graph.noise import Noise
from initlab.graph.turns import AtOnce, Seen


class Through(nn.Module):
    """A function between two layers."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.function = nn.Linear(8, 8), nn.Linear(8, 4), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.b(self.function(self.a(x)))
        return made


def at_places(x: torch.Tensor) -> torch.Tensor:
    """Written in place into zeros, which `vmap` refuses."""
    zeros = torch.zeros(x.shape[0], 8)
    zeros[:, ::2] = x.cumsum(-1)[:, ::2].tanh()
    return zeros


REGIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a sum over features": lambda x: x.cumsum(-1).tanh(),
    "shares": lambda x: torch.softmax(x.sort(-1).values, -1),
    "one number": lambda x: x.abs().max() + x,
    "complex": lambda x: torch.fft.fft(x).abs(),
    "in place": at_places,
}


@pytest.mark.parametrize("function", REGIONS.values(), ids=REGIONS)
def test_turns_at_once_say_what_turns_one_after_another_say(
    function: Callable[[torch.Tensor], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def second() -> float | None:
        x = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
        feed = record(Through(function), x).uses("b.weight")[0].feeds
        assert feed is not None
        return feed.second_moment

    together = second()
    monkeypatch.setattr(turns, "AT_ONCE", 1)
    assert together == pytest.approx(second(), rel=1e-6)
    assert together


def test_a_region_is_run_in_few_calls() -> None:
    """1,024 turns of a small region took as many; each call takes longer than its numbers do."""
    calls = []

    def counted(x: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(x.shape))
        return x.cumsum(-1)

    run, seen, draws = AtOnce(counted), Seen(1), Draws(Kept())
    noise = Noise((2, 4), 0.0, 1.0, 0.0, frozenset({1}), None, torch.float32)
    while len(seen.means) < 1024:
        for made in run(noise.turns(draws, seen.following(1024, 8))):
            seen.add(made, noise)
    assert len(seen.seconds) == 1024
    assert len(calls) < 10


def test_turns_of_what_reads_numbers_run_one_after_another() -> None:
    given = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    made = list(AtOnce(lambda x: x[x > 0])(given))
    assert all(torch.equal(part, turn[turn > 0][None]) for part, turn in zip(made, given, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("shapes", [((5, 7),), ((40,), (3, 1)), ((), (2, 2), (18,))])
def test_turns_are_drawn_as_one_after_another(shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype) -> None:
    one, several = Draws(Kept()), Draws(Kept())
    plainly = [[one.normal(shape, dtype) for shape in shapes] for _ in range(9)]
    for count, first in ((8, 0), (1, 8)):
        made = several.turns(count, shapes, dtype)
        for place in range(len(shapes)):
            assert torch.equal(made[place], torch.stack([turn[place] for turn in plainly[first : first + count]]))


@pytest.mark.parametrize("scale", [0.005, 0.02, 0.05, 1.0])
def test_turns_stop_where_they_are_enough(scale: float) -> None:
    """At the first multiple of eight at which the mean's standard error is 0.3% of it."""
    seconds = (1 + scale * np.random.default_rng(0).standard_normal(300)).tolist()
    close = [n for n in range(8, 300, 8) if np.std(seconds[:n]) / n**0.5 <= 0.003 * np.mean(seconds[:n])]
    seen, before, stopped = Seen(1), 0, False
    while not stopped and before < 300:
        ends = before + seen.following(300, 1)
        for kept in (seen.means, seen.seconds, seen.blocks):
            kept += seconds[before:ends]
        stopped, before = seen.enough(before, 300), ends
    assert stopped == bool(close)
    assert seen.seconds == seen.blocks == seconds[: close[0] if close else 300]
