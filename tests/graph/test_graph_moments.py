"""The moments of single operations, with arguments that change them, against what independent numbers have."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab
from initlab.graph import record
from initlab.graph.recording import Share

Body = Callable[..., torch.Tensor]
RELU_MEAN = 1 / math.sqrt(2 * math.pi)
EVEN = torch.arange(8) % 2 == 0


def _written(into: torch.Tensor, what: torch.Tensor | float, start: int = 0) -> torch.Tensor:
    """A quarter of the columns written anew."""
    into[:, start : start + 2] = what if isinstance(what, float) else what[:, :2]
    return into


class Read(nn.Module):
    """An operation on the outputs of layers, which are independent and of second moment one; a layer reads it."""

    def __init__(self, body: Body, widths: tuple[int, ...], out: int) -> None:
        super().__init__()
        self.body = body
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for width in widths)
        self.last = nn.Linear(out, 1)
        self.register_buffer("two", torch.full((8,), 2.0))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        signals = [layer(x) for layer, x in zip(self.layers, inputs, strict=True)]
        return self.last(self.body(self.two, *signals))


# the operation on (a buffer of twos, signals…), the signals' shapes, the width of what it gives, its second moment
CASES: dict[str, tuple[Body, tuple[tuple[int, ...], ...], int, float]] = {
    "add, alpha": (lambda c, a, b: torch.add(a, b, alpha=3), ((4, 8), (4, 8)), 8, 10.0),
    "sub of a constant": (lambda c, a: F.relu(a) - c, ((4, 8),), 8, 0.5 + 4 - 4 * RELU_MEAN),
    "sub from a constant": (lambda c, a: c - F.relu(a), ((4, 8),), 8, 0.5 + 4 - 4 * RELU_MEAN),
    "add, alpha of a constant": (lambda c, a: torch.add(F.relu(a), c, alpha=-0.5), ((4, 8),), 8, 1.5 - 2 * RELU_MEAN),
    "adaptive pool to more": (lambda c, a: F.adaptive_avg_pool1d(a, 16), ((4, 3, 8),), 16, 1.0),
    "adaptive pool, overlapping": (lambda c, a: F.adaptive_avg_pool1d(a, 4), ((4, 3, 6),), 4, 0.5),
    "mean after an rms norm": (
        lambda c, a: F.rms_norm(F.relu(a), (8,)).mean(1), ((4, 100, 8),), 8,
        2 * (RELU_MEAN**2 + (0.5 - RELU_MEAN**2) / 100),
    ),
    "cdist": (lambda c, a, b: torch.cdist(a, b), ((2, 5, 8), (2, 6, 8)), 6, 16.0),
    "tensordot": (lambda c, a, b: torch.tensordot(a, b), ((3, 4, 5), (4, 5, 8)), 8, 20.0),
    "baddbmm": (
        lambda c, x, a, b: torch.baddbmm(x, a, b, beta=2, alpha=0.5), ((2, 3, 8), (2, 3, 6), (2, 6, 8)), 8, 5.5,
    ),
    "addbmm": (lambda c, x, a, b: torch.addbmm(x, a, b), ((3, 8), (2, 3, 6), (2, 6, 8)), 8, 13.0),
    "addmm, no input": (lambda c, x, a, b: torch.addmm(x, a, b, beta=0), ((3, 8), (3, 6), (6, 8)), 8, 6.0),
    "rmatmul": (lambda c, a, b: b.__rmatmul__(a), ((3, 6), (6, 8)), 8, 6.0),
    "tril": (lambda c, a: a.tril(), ((64, 9, 8),), 8, 44 / 72),
    "real part": (lambda c, a: torch.fft.fft(a, dim=1, norm="ortho").real, ((64, 9, 8),), 8, 5 / 9),
    "index_add, alpha": (lambda c, a, b: a.index_add(0, torch.arange(4), b, alpha=3), ((4, 8), (4, 8)), 8, 10.0),
    "where, a fixed condition": (lambda c, a: torch.where(EVEN, a, 2.0), ((4, 8),), 8, 2.5),
    "where, zeros of its shape": (lambda c, a: torch.where(a > 0, a, torch.zeros_like(a)), ((4, 8),), 8, 0.5),
    "where, by another": (lambda c, a, b: torch.where(b > 1, a, 2.0), ((4, 8), (4, 8)), 8, 4 - 3 * 0.15866),
    "masked_fill": (lambda c, a: a.masked_fill(EVEN, 0), ((4, 8),), 8, 0.5),
    "masked_fill by its own sign": (lambda c, a: a.masked_fill(a < 0, 0), ((4, 8),), 8, 0.5),
    "times integers": (lambda c, a: a * torch.arange(8), ((4, 8),), 8, 17.5),
    "times a mask": (lambda c, a: a * EVEN, ((4, 8),), 8, 0.5),
    "places written": (lambda c, a: _written(torch.zeros_like(a), a), ((4, 8),), 8, 0.25),
    "places written one by one": (lambda c, a: _written(_written(torch.zeros_like(a), a), a, 2), ((4, 8),), 8, 0.5),
    "places set to a number": (lambda c, a: _written(a.clone(), 3.0), ((4, 8),), 8, 0.75 + 9 / 4),
    "scatter": (lambda c, a: c.new_zeros(4, 16).scatter(1, torch.arange(8).expand(4, 8), a), ((4, 8),), 16, 0.5),
    "index_put that adds": (
        lambda c, a: c.new_zeros(2, 8).index_put((torch.arange(4) % 2,), a, accumulate=True), ((4, 8),), 8, 2.0,
    ),
    "masked_scatter": (
        lambda c, a: c.new_zeros(4096, 8).masked_scatter(EVEN.expand(4096, 8), a), ((4096, 8),), 8, 0.5,
    ),
    "a sum over what is stacked": (lambda c, a: torch.stack([a, F.relu(a)]).sum(0), ((4, 8),), 8, 2.5),
    "there and back": (lambda c, a: torch.fft.irfft(torch.fft.rfft(F.relu(a), dim=0), dim=0), ((64, 8),), 8, 0.5),
    "of half the numbers": (lambda c, a: torch.fft.ifft(a, dim=0, norm="ortho").real, ((64, 8),), 8, 33 / 64),
    "real and imaginary": (
        lambda c, a: torch.cat([(z := torch.fft.rfft(a, dim=0, norm="ortho")).real, z.imag], -1), ((64, 8),), 16, 0.5,
    ),
    "einsum of one with itself": (lambda c, a: torch.einsum("bid,bjd->bij", a, a), ((64, 8, 6),), 8, 6 + 42 / 8),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_arguments_count_in_the_moments(case: str) -> None:
    body, shapes, out, expected = CASES[case]
    model = Read(body, tuple(shape[-1] for shape in shapes), out)
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(torch.randn(shape, generator=generator) for shape in shapes)
    feeds = record(model, inputs).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(expected, rel=0.03)


def test_causal_attention_of_many_counts_queries_of_all_places() -> None:
    model = Read(lambda c, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), (64, 64, 64), 64)
    feeds = record(model, tuple(torch.zeros(1, 1024, 64) for _ in range(3))).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(0.0150, rel=0.12)  # E Σ a² over n scores, the mean of n = 1 … 1024


def test_behind_an_lstms_projection_the_state_is_the_projections() -> None:
    class Projected(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.last = nn.LSTM(8, 16, 2, proj_size=4), nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.layer(x)[0])

    graph = record(Projected(), torch.zeros(3, 2, 8))
    for name in ("layer.weight_hh_l0", "layer.weight_ih_l1", "last.weight"):
        feeds = graph.uses(name)[0].feeds
        assert feeds is not None
        assert feeds.second_moment == 1.0
    inner = graph.uses("layer.weight_hr_l0")[0].feeds
    assert inner is not None
    assert inner.second_moment == pytest.approx(0.0676, rel=0.02)  # drawn: gates read 1 + 1


def test_a_plain_call_of_torch_convolution_has_its_groups() -> None:
    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.zeros(8, 2, 3, 3))
            self.back = nn.Parameter(torch.zeros(8, 2, 4, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made = torch.convolution(x, self.kernel, None, (1, 1), (1, 1), (1, 1), False, (0, 0), 2)
            return torch.convolution(made, self.back, None, (2, 2), (1, 1), (1, 1), True, (0, 0), 4)

    graph = record(Called(), torch.zeros(1, 4, 8, 8))
    found = [use.geometry for name in ("kernel", "back") for use in graph.uses(name)]
    assert [(g.fan_in, g.fan_out, g.groups) for g in found if g is not None] == [(18, 36, 2), (8, 32, 4)]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.ConvTranspose1d(8, 8, 3, stride=1, bias=False), 12 / 14),  # 12 places make 14, each of 3 taps
        (nn.ConvTranspose1d(8, 8, 4, stride=2, bias=False), 24 / 26),  # 26, each of 4/2 taps in the middle
        (nn.ConvTranspose1d(8, 8, 3, stride=1, padding=1, dilation=2, bias=False), 34 / 42),  # 2 of 36 are cut
        (nn.ConvTranspose1d(8, 8, 2, stride=2, bias=False), 1.0),
    ],
    ids=["stride 1", "stride 2", "dilated, padded", "apart"],
)
def test_edges_of_transposed_convolutions_see_fewer_taps(layer: nn.Module, expected: float) -> None:
    feeds = record(layer, torch.zeros(2, 8, 12)).uses("weight")[0].feeds
    assert feeds is not None
    assert feeds.seen == pytest.approx(expected)


def test_a_bilinear_layer_reads_the_product_of_its_inputs() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = nn.Bilinear(8, 8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.pair(x.relu(), (2 * x).relu())
            return made

    feeds = record(Both(), torch.zeros(2, 8)).uses("pair.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(0.5 * 2.0)


@pytest.mark.parametrize(("mode", "expected"), [("sum", 4.0), ("mean", 0.25), ("max", 1.5513)])
def test_bags_of_rows_have_their_mode(mode: str, expected: float) -> None:
    """E[max² of four standard normal numbers] = 1 + √3/π."""
    model = nn.Sequential(nn.EmbeddingBag(50, 8, mode=mode), nn.Linear(8, 2))
    feeds = record(model, torch.arange(20).view(5, 4)).uses("1.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(expected, rel=0.06)


def test_a_layer_of_causal_attention_averages_over_what_comes_before() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = nn.MultiheadAttention(8, 1, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.attn(x, x, x, attn_mask=self.mask, need_weights=False)[0]
            return made

    layer = Layer()
    layer.register_buffer("mask", torch.ones(2, 2).triu(1).bool())
    feeds = record(layer, torch.zeros(4, 2, 8)).uses("attn.out_proj.weight")[0].feeds
    assert feeds is not None
    scores = torch.randn(1 << 16, 2, generator=torch.Generator().manual_seed(0)).softmax(-1)
    assert feeds.second_moment == pytest.approx((1 + float(scores.square().sum(-1).mean())) / 2, rel=0.02)


def test_a_stream_behind_functions_keeps_their_law() -> None:
    """x ← relu(x + w), eight times: the sums are skewed, and a ReLU cuts off less than of a Gaussian."""

    def body(c: torch.Tensor, first: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        for other in others:
            first = F.relu(first + other)
        return F.avg_pool1d(first, 2)

    model = Read(body, (8,) * 9, 4)
    feeds = record(model, tuple(torch.zeros(64, 2, 8) for _ in range(9))).uses("last.weight")[0].feeds
    drawn = torch.randn(9, 2, 1 << 18, generator=torch.Generator().manual_seed(0))
    stream = drawn[0]
    for other in drawn[1:]:
        stream = F.relu(stream + other)
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(float(stream.mean(0).square().mean()), rel=0.03)


class Penalised(nn.Module):
    """A penalty that is added up in place, beginning at a number, as routed attention does it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x))
        logits: torch.Tensor = self.last(torch.relu(self.second(h)))
        total = torch.zeros(())
        total += torch.relu(0.1 * nn.functional.mse_loss(h, self.second(h)))
        return logits + (total + torch.relu(logits).mean())


def test_a_number_to_which_a_signal_is_added_in_place_has_a_law() -> None:
    plan = initlab.plan(Penalised(), torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))
    assert plan["last.weight"].law is not None


NORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer norm": lambda x: F.layer_norm(x, x.shape[-1:]),
    "rms norm": lambda x: F.rms_norm(x, x.shape[-1:]),
}


@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_keeps_the_law_of_what_a_function_gave(norm: str) -> None:
    """relu(norm(relu(z)²)), again: what was skewed stays so, and more of it is above zero than of a Gaussian's size."""

    def body(c: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return F.relu(NORMS[norm](F.relu(NORMS[norm](F.relu(a) ** 2))))

    drawn = body(torch.ones(()), torch.randn(4096, 512, generator=torch.Generator().manual_seed(0)))
    feeds = record(Read(body, (512,), 512), torch.zeros(16, 512)).uses("last.weight")[0].feeds
    assert feeds is not None
    # a Gaussian in place of the law is out by 14% to 40%
    assert feeds.second_moment == pytest.approx(float(drawn.square().mean()), rel=0.05)


class Distances(nn.Module):
    """A small network on fixed numbers, as one that makes scores of distances."""

    def __init__(self, fixed: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("fixed", fixed)
        self.first, self.second = nn.Linear(fixed.shape[-1], 64), nn.Linear(64, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = x + self.second(F.relu(self.first(self.fixed)))
        return made


def test_layers_read_fixed_tensors_as_they_read_signals() -> None:
    fixed = 3 * torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    graph = record(Distances(fixed), torch.zeros(2, 100, 8))
    first, second = (graph.uses(f"{name}.weight")[0].feeds for name in ("first", "second"))
    assert first is not None
    assert second is not None
    assert first.second_moment == pytest.approx(float(fixed.square().mean()))
    assert (second.activation, second.second_moment) == ("relu", pytest.approx(0.5))


def test_of_zeros_that_the_model_makes_a_layer_makes_zeros() -> None:
    class Queries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own, self.other, self.last = (nn.Linear(8, 8, bias=False) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.last(self.other(x) + self.own(torch.zeros_like(x)))
            return made

    feeds = record(Queries(), torch.zeros(4, 8)).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == 1.0


SHIFTED: dict[str, tuple[nn.Module, torch.Size]] = {
    "of a layer": (nn.Linear(64, 64), torch.Size((64,))),
    "of a norm": (nn.LayerNorm(64), torch.Size((64,))),
}


@pytest.mark.parametrize("case", SHIFTED)
@pytest.mark.parametrize(("mean", "std"), [(1.0, 0.0), (0.0, 1.0), (-0.5, 0.5)])
def test_biases_of_other_numbers_than_zero_count(case: str, mean: float, std: float) -> None:
    """E[relu(y + b)²] and what positions have in common, of b drawn once for all positions: as drawn."""
    layer, shape = SHIFTED[case]
    model = nn.Sequential(nn.Linear(64, 64, bias=False), layer, nn.ReLU(), nn.AdaptiveAvgPool2d((1, 64)),
                          nn.Linear(64, 2))  # fmt: skip
    shifts = {"1.bias": (mean, mean**2 + std**2)}
    graph = record(model, torch.zeros(4, 32, 64)).sized({}, {}, shifts=shifts)
    generator = torch.Generator().manual_seed(0)
    bias = mean + std * torch.randn(4096, 1, *shape, generator=generator)
    pooled = F.relu(torch.randn(4096, 32, *shape, generator=generator) + bias).mean(1)
    feeds = graph.uses("4.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(float(pooled.square().mean()), rel=0.05)


@pytest.mark.parametrize(
    ("kernel", "bounded", "expected"),
    [(3, False, 1.0), (3, True, 1 - 2 / 60), (15, False, 1.0), (15, True, 1 - 56 / 300)],
)
def test_beside_padding_a_layer_makes_less_where_it_may_not_grow(kernel: int, bounded: bool, expected: float) -> None:
    """Of 20 places the outer ones see fewer taps; a gain is that of what feeds a layer, a pass makes up for them."""
    model = nn.Sequential(nn.Conv1d(4, 4, kernel, padding=kernel // 2, bias=False), nn.Conv1d(4, 4, 1))
    graph = record(model, torch.zeros(2, 4, 20)).sized({}, {}, bounded=frozenset({"0.weight"} if bounded else ()))
    feeds = graph.uses("1.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(expected)


@pytest.mark.parametrize(("share", "expected"), [(None, 1.25), (Share(0.1, False), 1.1)], ids=["as it is", "a share"])
def test_a_table_that_is_added_as_it_is_counts(share: Share | None, expected: float) -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 8)
            self.places = nn.Parameter(torch.zeros(1, 5, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.last(self.first(x) + self.places)
            return made

    graph = record(Placed(), torch.zeros(2, 5, 8))
    added = next(op for op in graph.operations if op.kind == "add")
    shares = {} if share is None else {(added.index, added.inputs[1]): share}
    feeds = graph.sized({}, shares, shifts={"places": (0.0, 0.25)}).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.second_moment == pytest.approx(expected)
