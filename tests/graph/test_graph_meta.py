"""A model on the meta device, and the values that its forward pass looks at."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initlab.graph import record


class _Looks(nn.Module):
    """Looks at a number that its weights make, and multiplies experts in one call that has fewer dtypes on meta."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.head = nn.Linear(16, 32), nn.Linear(32, 5)
        self.experts = nn.Parameter(torch.empty(2, 32, 32))

    def forward(self, x: torch.Tensor, looks: bool = True) -> torch.Tensor:
        h = self.into(x)
        if looks and h.mean().item() > 1e9:
            h = 2 * h
        ends = torch.full((2,), len(x) // 2, dtype=torch.int32, device=x.device).cumsum(0, dtype=torch.int32)
        return self.head(torch.relu(F.grouped_mm(h, self.experts, offs=ends)))


@pytest.mark.parametrize("looks", [True, False])
@pytest.mark.parametrize("given", [torch.zeros(8, 16, device="meta"), torch.randn(8, 16)])
def test_a_forward_on_meta_looks_at_numbers_that_nobody_gave(given: torch.Tensor, looks: bool) -> None:
    with torch.device("meta"):
        model = _Looks()
    graph = record(model, {"x": given, "looks": looks})
    assert {"into.weight", "experts", "head.weight"} <= {name for op in graph.operations for name in op.parameters}


def test_made_up_tokens_are_not_held_as_if_they_were_given() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(9, 4)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.table(tokens) * (2 if int(tokens.sum()) > 100 else 1)

    with torch.device("meta"):
        model = Tokens()
    made, given = (
        record(model, tokens)
        for tokens in (torch.zeros(2, 3, dtype=torch.long, device="meta"), torch.zeros(2, 3, dtype=torch.long))
    )
    assert made.values[made.inputs[0]].tensor is None
    assert given.values[given.inputs[0]].tensor is not None
