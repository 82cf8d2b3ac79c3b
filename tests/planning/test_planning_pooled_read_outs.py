"""Read-outs whose logits are pooled over places: by any statistic, whatever the order of axes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import initlab

X = torch.randn(64, 12, 16, generator=torch.Generator().manual_seed(0))
OWNERS = torch.arange(64).repeat_interleave(12)


def _scattered(logits: Tensor) -> Tensor:
    places = OWNERS[:, None].expand(-1, 5)
    return torch.zeros(64, 5).scatter_reduce(0, places, logits.reshape(-1, 5), "amax", include_self=False)


POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "the largest": lambda logits: logits.amax(1),
    "the largest of each graph": _scattered,
    "the three largest": lambda logits: logits.topk(3, 1).values.mean(1),
    "the median": lambda logits: logits.median(1).values,
    "log-sum-exp": lambda logits: logits.logsumexp(1),
    "classes before places": lambda logits: nn.functional.adaptive_max_pool1d(logits.mT, 1).squeeze(-1),
    "classes before places, by amax": lambda logits: logits.mT.amax(2),
}


class Pooled(nn.Module):
    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.head, self.pool = nn.Linear(16, 32), nn.Linear(32, 5), pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.head(torch.relu(self.first(x))))


@pytest.mark.parametrize("way", POOLS)
def test_a_pooled_read_out_begins_at_a_uniform_guess(way: str) -> None:
    model = Pooled(POOLS[way])
    plan = initlab.init_(model, "auto", example_inputs=X)
    assert "read-out" in plan["head.weight"].reason
    logits = model(X)
    assert float((logits.logsumexp(1) - logits.mean(1)).mean().detach()) < 1.05 * math.log(5)
