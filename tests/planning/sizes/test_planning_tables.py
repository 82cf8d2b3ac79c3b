"""Tables that stand for a signal, and tied ones that no norm reads: what size their rows have."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

import initlab

F = nn.functional
X = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(0, 64, (8, 32), generator=torch.Generator().manual_seed(0))


class Quantised(nn.Module):
    """An autoencoder whose codes are the nearest rows of a table (van den Oord et al., 2017), as VQGAN writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.codes, self.after = nn.Linear(16, 8), nn.Embedding(64, 8), nn.Linear(8, 16)
        self.last = nn.Linear(16, 16)
        nn.init.uniform_(self.codes.weight, -1 / 64, 1 / 64)

    def forward(self, x: Tensor) -> Tensor:
        z = self.before(x)
        table = self.codes.weight
        distances = z.square().sum(1, keepdim=True) + table.square().sum(1) - 2 * torch.einsum("bd,nd->bn", z, table)
        chosen = self.codes(distances.argmin(1))
        made: Tensor = self.last(torch.relu(self.after(z + (chosen - z).detach())))
        return made


def test_rows_that_are_compared_with_a_signal_have_its_size() -> None:
    model = Quantised()
    seen: list[Tensor] = []
    initlab.init_(model, "auto", example_inputs=X)
    model.after.register_forward_hook(lambda module, given, made: seen.append(made.detach()))
    model(X)
    z = model.before(X).detach()
    of_z = float(z.square().mean())
    assert 0.5 < float(model.codes.weight.detach().square().mean()) / of_z < 2  # 1e-4 where rows that weights read are
    assert 0.2 < float(seen[0].square().mean()) < 2
    assert len(torch.cdist(z, model.codes.weight.detach()).argmin(1).unique()) > 30  # of 64 codes


class Chain(nn.Module):
    """Blocks of convolutions without a norm between a table and the head that is tied to it (Bai et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(64, 32)
        self.first = nn.ModuleList(nn.Conv1d(32, 32, 3, padding=1) for _ in range(2))
        self.second = nn.ModuleList(nn.Conv1d(32, 32, 3, padding=1) for _ in range(2))
        self.head = nn.Linear(32, 64)
        self.head.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens).mT
        for first, second in zip(self.first, self.second, strict=True):
            x = torch.relu(x + torch.relu(second(torch.relu(first(x)))))
        made: Tensor = self.head(x.mT)
        return made


def test_what_reads_a_tied_table_is_sized_by_the_table_as_it_ends() -> None:
    model = Chain()
    seconds: list[float] = []
    plan = initlab.init_(model, "auto", example_inputs=TOKENS)
    for layer in model.first:
        layer.register_forward_hook(lambda module, given, made: seconds.append(float(made.detach().square().mean())))
    assert "a constant that shrinks it" not in plan["table.weight"].reason
    logits = model(TOKENS).detach()
    assert float((logits.logsumexp(-1) - logits.mean(-1)).mean()) < 1.05 * math.log(64)
    assert all(0.5 < second < 2 for second in seconds), seconds
