"""Models that grow in one way each, for what should take time in proportion to their size: planning, writing, watching.

`KINDS`: name -> size -> (model, example inputs). Where the model's own pass grows faster than its size (each step reads
all earlier ones), so may what is done with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Build = Callable[[int], tuple[nn.Module, torch.Tensor]]
WIDTH = 8
KINDS: dict[str, Build] = {}


class Grown(nn.Module):
    """A first layer, a body of some size, a read-out."""

    def __init__(self, body: Callable[[Any, torch.Tensor], Any], size: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)
        self.body, self.size = body, size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(self.body(self, self.first(x)))
        return made


def _x() -> torch.Tensor:
    return torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(0))


def grows(**layers: Callable[[int], nn.Module]) -> Callable[[Callable[[Any, torch.Tensor], Any]], Build]:
    """Enters a body under its own name; its layers are made by size."""

    def enter(body: Callable[[Any, torch.Tensor], Any]) -> Build:
        def build(size: int) -> tuple[nn.Module, torch.Tensor]:
            model = Grown(body, size)
            for name, make in layers.items():
                model.add_module(name, make(size))
            return model, _x()

        KINDS[body.__name__.replace("_", " ")] = build
        return build

    return enter


def one(size: int) -> nn.Module:
    return nn.Linear(WIDTH, WIDTH)


def many(size: int) -> nn.Module:
    return nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(size))


def in_turn(net: Any, x: torch.Tensor) -> Any:
    for layer in net.layers:
        x = torch.tanh(layer(x))
    return x


@grows(layers=many)
def layers(net: Any, x: torch.Tensor) -> Any:
    return in_turn(net, x)


@grows(layers=many)
def residual_blocks(net: Any, x: torch.Tensor) -> Any:
    for layer in net.layers:
        x = x + torch.relu(layer(x))
    return x


@grows(layers=many, norms=lambda size: nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(size)))
def residual_blocks_with_norms(net: Any, x: torch.Tensor) -> Any:
    for layer, norm in zip(net.layers, net.norms, strict=True):
        x = x + layer(torch.nn.functional.gelu(norm(x)))
    return x


@grows(layers=many, ends=many)
def residual_blocks_weighed(net: Any, x: torch.Tensor) -> Any:
    for layer, end in zip(net.layers, net.ends, strict=True):
        x = 0.5 * x + end(torch.relu(layer(x))) * torch.sigmoid(x)
    return x


@grows(shared=one)
def a_layer_of_the_input_added_at_every_step(net: Any, x: torch.Tensor) -> Any:
    h = x
    for _ in range(net.size):
        h = h + net.shared(x) + torch.tanh(h)
    return h


@grows(shared=one)
def a_shared_residual_layer(net: Any, x: torch.Tensor) -> Any:
    for _ in range(net.size):
        x = x + torch.tanh(net.shared(x))
    return x


@grows(cell=lambda size: nn.RNNCell(WIDTH, WIDTH))
def rnn_cell(net: Any, x: torch.Tensor) -> Any:
    h = torch.zeros_like(x)
    for _ in range(net.size):
        h = net.cell(x, h)
    return h


@grows(of_x=one, of_h=one)
def rnn_by_hand(net: Any, x: torch.Tensor) -> Any:
    h, xs = torch.zeros_like(x), []
    for _ in range(net.size):
        h = torch.tanh(net.of_x(x) + net.of_h(h))
        xs.append(h)
    return torch.stack(xs).mean(0)


@grows(of_x=lambda size: nn.Linear(WIDTH, 4 * WIDTH), of_h=lambda size: nn.Linear(WIDTH, 4 * WIDTH))
def lstm_by_hand(net: Any, x: torch.Tensor) -> Any:
    h = c = torch.zeros_like(x)
    for _ in range(net.size):
        i, f, g, o = (net.of_x(x) + net.of_h(h)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return h


@grows(of_x=lambda size: nn.Linear(WIDTH, 3 * WIDTH), of_h=lambda size: nn.Linear(WIDTH, 3 * WIDTH))
def gru_by_hand(net: Any, x: torch.Tensor) -> Any:
    h = torch.zeros_like(x)
    for _ in range(net.size):
        (r, z, n), (u, v, w) = net.of_x(x).chunk(3, -1), net.of_h(h).chunk(3, -1)
        r, z = torch.sigmoid(r + u), torch.sigmoid(z + v)
        n = torch.tanh(n + r * w)
        h = (1 - z) * n + z * h
    return h


@grows(a=one, b=one, c=one)
def several_states(net: Any, x: torch.Tensor) -> Any:
    h, m, s = x, torch.zeros_like(x), torch.ones_like(x)
    for _ in range(net.size):
        m = 0.9 * m + net.a(h)
        s = s + torch.sigmoid(net.b(m))
        h = h + net.c(m) / (1 + s)
    return h + m


@grows(layers=lambda size: nn.ModuleList(nn.Linear(WIDTH * (i + 1), WIDTH) for i in range(size)))
def dense_connections(net: Any, x: torch.Tensor) -> Any:
    found = [x]
    for layer in net.layers:
        found.append(torch.relu(layer(torch.cat(found, -1))))
    return found[-1]


@grows(layers=many)
def dense_sums(net: Any, x: torch.Tensor) -> Any:
    found = [x]
    for layer in net.layers:
        found.append(torch.relu(layer(sum(found))))
    return found[-1]


@grows(q=one, k=one, v=one)
def attention_over_states(net: Any, x: torch.Tensor) -> Any:
    states = [x]
    for _ in range(net.size):
        s = torch.stack(states, 1)
        shares = (net.q(states[-1])[:, None] @ net.k(s).transpose(1, 2) / WIDTH**0.5).softmax(-1)
        states.append(states[-1] + (shares @ net.v(s))[:, 0])
    return states[-1]


@grows(down=many, up=many)
def long_skips(net: Any, x: torch.Tensor) -> Any:
    kept = []
    for layer in net.down:
        x = torch.relu(layer(x))
        kept.append(x)
    for layer in net.up:
        x = torch.relu(layer(x + kept.pop()))
    return x


@grows(down=many, up=lambda size: nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH) for _ in range(size)))
def long_skips_joined(net: Any, x: torch.Tensor) -> Any:
    kept = []
    for layer in net.down:
        x = torch.relu(layer(x))
        kept.append(x)
    for layer in net.up:
        x = torch.relu(layer(torch.cat([x, kept.pop()], -1)))
    return x


@grows(router=lambda size: nn.Linear(WIDTH, size), experts=many)
def experts(net: Any, x: torch.Tensor) -> Any:
    x = x.repeat(8, 1)  # enough rows that most experts are given some
    shares, chosen = net.router(x).softmax(-1).topk(2, -1)
    made = torch.zeros_like(x)
    for number, expert in enumerate(net.experts):
        rows, place = (chosen == number).nonzero(as_tuple=True)
        made = made.index_add(0, rows, shares[rows, place, None] * torch.tanh(expert(x[rows])))
    return made.unflatten(0, (8, -1)).mean(0)


@grows(router=lambda size: nn.Linear(WIDTH, size), experts=many)
def experts_that_all_run(net: Any, x: torch.Tensor) -> Any:
    shares = net.router(x).softmax(-1)
    return sum(shares[:, i, None] * torch.tanh(expert(x)) for i, expert in enumerate(net.experts))


@grows(scalars=lambda size: nn.ParameterList(nn.Parameter(torch.ones(1)) for _ in range(size)))
def scalars(net: Any, x: torch.Tensor) -> Any:
    for scalar in net.scalars:
        x = x * scalar
    return x


@grows(scalars=lambda size: nn.ParameterList(nn.Parameter(torch.ones(1)) for _ in range(size)))
def scalars_joined(net: Any, x: torch.Tensor) -> Any:
    return x * torch.cat(list(net.scalars)).mean()


@grows(scalars=lambda size: nn.ParameterList(nn.Parameter(torch.ones(WIDTH)) for _ in range(size)))
def scales_of_a_stream(net: Any, x: torch.Tensor) -> Any:
    for scalar in net.scalars:
        x = x + scalar * torch.tanh(x)
    return x


def tied(size: int) -> nn.Module:
    found = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(size))
    for layer in found:
        layer.weight = found[0].weight
    return found


@grows(layers=tied)
def tied_weights(net: Any, x: torch.Tensor) -> Any:
    return in_turn(net, x)


@grows(layers=many)
def layers_that_do_not_run(net: Any, x: torch.Tensor) -> Any:
    return torch.tanh(net.layers[0](x))


def nested(size: int) -> nn.Module:
    return nn.Sequential(*(nn.Sequential(nn.Identity(), nn.Sequential(nn.Tanh(), nn.Identity())) for _ in range(size)))


@grows(inner=nested)
def modules_without_parameters(net: Any, x: torch.Tensor) -> Any:
    return net.inner(x)


@grows(shared=one)
def writes_by_index(net: Any, x: torch.Tensor) -> Any:
    kept = torch.zeros(net.size, *x.shape)
    for i in range(net.size):
        x = torch.tanh(net.shared(x))
        kept[i] = x
    return kept.mean(0)


@grows(shared=one)
def writes_read_back(net: Any, x: torch.Tensor) -> Any:
    kept = torch.zeros(net.size + 1, *x.shape)
    for i in range(net.size):
        kept[i + 1] = torch.tanh(net.shared(kept[i] + x))
    return kept[-1]


@grows(of_a=one)
def scan(net: Any, x: torch.Tensor) -> Any:
    h, a = torch.zeros_like(x), torch.sigmoid(net.of_a(x))
    for _ in range(net.size):
        h = a * h + (1 - a) * x
    return h


@grows(of_a=one, of_b=one)
def selective_scan(net: Any, x: torch.Tensor) -> Any:
    given = x[None].repeat(net.size, 1, 1)
    a, b = torch.sigmoid(net.of_a(given)), net.of_b(given)
    h, ys = torch.zeros_like(x), []
    for t in range(net.size):
        h = a[t] * h + b[t]
        ys.append((h * given[t]).sum(-1))
    return torch.stack(ys).mean(0)[:, None] * x


@grows()
def functions(net: Any, x: torch.Tensor) -> Any:
    for place in range(net.size):
        x = torch.tanh(x) if place % 2 else x * 1.01
    return x


@grows()
def sums_of_functions(net: Any, x: torch.Tensor) -> Any:
    for _ in range(net.size):
        x = x + 0.1 * torch.sin(x)
    return x


@grows()
def reductions(net: Any, x: torch.Tensor) -> Any:
    for _ in range(net.size):
        x = x - x.mean(-1, keepdim=True)
    return x


@grows()
def sorted_again(net: Any, x: torch.Tensor) -> Any:
    for _ in range(net.size):
        x = torch.cumsum(torch.sin(x), -1)
    return x


@grows(
    blocks=lambda size: nn.ModuleList(
        nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True, dropout=0.0) for _ in range(size)
    )
)
def transformer_blocks(net: Any, x: torch.Tensor) -> Any:
    x = x[None]
    for block in net.blocks:
        x = block(x)
    return x[0]


@grows(table=lambda size: nn.Embedding(WIDTH, WIDTH), heads=many)
def many_read_outs(net: Any, x: torch.Tensor) -> Any:
    return sum(head(x) for head in net.heads)


@grows(heads=many, tables=lambda size: nn.ModuleList(nn.Embedding(4, WIDTH) for _ in range(size)))
def many_tables(net: Any, x: torch.Tensor) -> Any:
    found = [table(torch.zeros(4, dtype=torch.long)) for table in net.tables]
    return sum(head(row) for head, row in zip(net.heads, found, strict=True)) + x


@grows(a=many, b=many)
def low_rank_products(net: Any, x: torch.Tensor) -> Any:
    for a, b in zip(net.a, net.b, strict=True):
        x = x + torch.nn.functional.linear(x, a.weight @ b.weight)
    return x
