"""What feeds each weight, over a zoo of architectures, and whether weights scaled by it keep the signal."""

from __future__ import annotations

import math
from collections.abc import Callable

import graph_zoo as zoo
import numpy as np
import pytest
import torch
from torch import nn

from initlab import theory
from initlab.graph import Feed, Operation, SignalGraph, expressions, geometry_of, record, regions
from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op
from initlab.graph.signals import Signal

F = nn.functional
RELU, TANH, SILU = (theory.moments(name).second for name in ("relu", "tanh", "silu"))
QUICK_GELU = theory.moments(lambda x: x / (1 + np.exp(-1.702 * x))).second
POOLED = 1 / (2 * math.pi) + (0.5 - 1 / (2 * math.pi)) / 4  # four independent relus: mean² + variance/4
# Of 25 positions that agree in the mean that pooled relus gave them, after one more relu: what is common, and 1/25.
AGREED = theory.correlation_map("relu", 1 / (2 * math.pi) / POOLED)
MEAN_OF_RELU = RELU * (AGREED + (1 - AGREED) / 25)
ATTENDED = float(np.mean((lambda e: ((e / e.sum(-1, keepdims=True)) ** 2).sum(-1))(
    np.exp(np.random.default_rng(0).standard_normal((100_000, 5)))
)))  # fmt: skip  # E[Σ a²] of a softmax over five scores of unit variance
OF_FOUR = 0.3225  # the same of queries and keys of four numbers, whose scores are no normals: of 200,000 draws
SETTLED = (
    0.0507  # E[h²] of an LSTM with forget bias 1: the fixed point of its gate moments, checked below by simulation
)


def feed(graph: SignalGraph, name: str, use: int = 0) -> Feed:
    found = graph.uses(name)[use].feeds
    assert found is not None
    return found


def ids(*shape: int) -> torch.Tensor:
    return torch.randint(0, 11, shape, generator=torch.Generator().manual_seed(0))


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


MLP = nn.Sequential(
    nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 2)
)
CNN = nn.Sequential(
    nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.AvgPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
)  # fmt: skip
ENCODER = nn.TransformerEncoder(
    nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True, norm_first=True),
    2,
    enable_nested_tensor=False,
)

# model, inputs, {parameter: (activation, second moment, where, source)}; None = not asked
ZOO: dict[str, tuple[nn.Module, object, dict[str, tuple[object, object, object, str]]]] = {
    "mlp": (MLP, noise(3, 4), {
        "0.weight": (None, 1.0, "", "data"),
        "3.weight": ("relu", RELU / 0.5, "1", "activation"),  # dropout 0.5 lies between
        "5.weight": ("tanh", TANH, "4", "activation"),
        "6.weight": ("linear", 1.0, "5", "weight"),
    }),
    "cnn": (CNN, noise(2, 3, 16, 16), {
        "0.weight": (None, 1.0, "", "data"),
        "4.weight": ("avg_pool2d of relu", POOLED, "3", "pool"),
        "8.weight": ("mean of relu", MEAN_OF_RELU, "5", "pool"),
    }),
    "composites": (zoo.Composites(), noise(3, 8), {
        "b.weight": ("composite of mul, sigmoid", QUICK_GELU, "mul", "activation"),
        "c.weight": ("gelu_tanh", theory.moments("gelu_tanh").second, "mul", "activation"),
        "d.weight": (None, (1 + 0.1**2) / 2, "where", "activation"),
    }),
    "resnet": (zoo.ResNet(), noise(2, 3, 8, 8), {
        "blocks.0.conv1.weight": ("relu", RELU, "stem.2", "activation"),
        "blocks.0.conv2.weight": ("relu", RELU, "blocks.0", "activation"),
        # relu of (norm 1 + skip relu 1/2): half of 3/2 would hold for a mean of zero; the skip's mean adds to it
        "blocks.1.conv1.weight": ("relu", None, "blocks.0", "activation"),
    }),
    "u-net": (zoo.UNet(), noise(2, 3, 8, 8), {
        "middle.weight": ("max_pool2d of relu", None, "max_pool2d", "pool"),
        "up.weight": ("tanh", TANH, "tanh", "activation"),
        "out.weight": ("concat of linear, relu", (1 + RELU) / 2, "cat", "concat"),
    }),
    "encoder": (ENCODER, noise(2, 5, 16), {
        "layers.0.self_attn.in_proj_weight": ("layer_norm", 1.0, "layers.0.norm1", "norm"),
        "layers.0.self_attn.out_proj.weight": ("attention", ATTENDED, "layers.0.self_attn", "attention"),
        "layers.1.linear1.weight": ("layer_norm", 1.0, "layers.1.norm2", "norm"),
        "layers.1.linear2.weight": ("gelu", theory.moments("gelu").second / 0.9, "layers.1", "activation"),
    }),
    "swiglu": (zoo.SwiGLU(), noise(2, 5, 16), {
        "gate.weight": ("RMSNorm", 1.0, "norm", "norm"),
        "down.weight": ("silu×linear", SILU, "mul", "product"),
    }),
    "packed glu": (zoo.Packed(), noise(3, 16), {
        "down.weight": ("sigmoid×linear", theory.moments("sigmoid").second, "mul", "product"),
    }),
    "F.glu": (nn.Sequential(nn.Linear(8, 64), nn.GLU(), nn.Linear(32, 4)), noise(3, 8), {
        "2.weight": ("glu", theory.moments("sigmoid").second, "1", "pool"),
    }),
    "vit": (zoo.ViT(), noise(2, 3, 8, 8), {
        "patch.weight": (None, 1.0, "", "data"),
        "qkv.weight": ("layer_norm", 1.0, "norm1", "norm"),
        "proj.weight": ("attention", None, "matmul", "attention"),
        "fc2.weight": ("gelu", theory.moments("gelu").second, "gelu", "activation"),
        "head.weight": ("layer_norm", 1.0, "norm", "norm"),
    }),
    "einsum attention": (zoo.EinsumAttention(), noise(64, 5, 8), {
        "wq": (None, 1.0, "", "data"),
        "wo": ("attention", OF_FOUR, "einsum", "attention"),
    }),
    "experts": (zoo.Experts(), noise(6, 8), {
        "w1": (None, 1.0, "", "data"),
        "w2": ("relu", RELU, "relu", "activation"),
    }),
    "tied language model": (zoo.TiedLM(), ids(2, 5), {
        "lstm.weight_ih_l0": ("embedding", 1.0, "embed", "embedding"),
        "lstm.weight_hh_l0": ("lstm", SETTLED, "lstm", "recurrent"),
        "lstm.weight_ih_l1": ("lstm", SETTLED, "lstm", "recurrent"),
    }),
    "branch taken": (zoo.Branching(), torch.ones(2, 4), {"out.weight": ("tanh", TANH, "tanh", "activation")}),
    "other branch": (zoo.Branching(), -torch.ones(2, 4), {"out.weight": ("relu", RELU, "relu", "activation")}),
    "one activation object": (zoo.OneActivation(), noise(3, 8), {
        "layers.1.weight": ("leaky_relu", (1 + 0.2**2) / 2, "act", "activation"),
        "layers.2.weight": ("leaky_relu", (1 + 0.2**2) / 2, "act", "activation"),
    }),
}  # fmt: skip


@pytest.mark.parametrize("case", ZOO)
def test_what_feeds_each_weight(case: str) -> None:
    model, inputs, expected = ZOO[case]
    graph = record(model, inputs)
    for name, (activation, second, where, source) in expected.items():
        found = feed(graph, name)
        assert found.source == source, name
        assert found.where == where, name
        if activation is not None or source == "data":
            assert found.activation == activation, name
        if second is not None:
            # pooled and gated windows are run on about 2^17 numbers: 2% is many standard errors; a norm's eps is 1e-6
            rel = 0.02 if source in ("pool", "recurrent", "attention") else 3e-6
            assert found.second_moment == pytest.approx(second, rel=rel), name


def test_a_weight_used_twice_has_two_feeds() -> None:
    graph = record(zoo.Siamese(), noise(3, 8))
    assert [use.feeds.activation for use in graph.uses("shared.weight")] == [None, "relu"]
    assert feed(graph, "out.weight").activation == "sigmoid"


def test_tied_weight_has_a_use_of_each_kind() -> None:
    graph = record(zoo.TiedLM(), ids(2, 5))
    assert [use.role for use in graph.uses("embed.weight")] == ["embedding", "weight"]
    assert graph.uses("embed.weight")[1].feeds.activation == "lstm"


def test_gpt2_is_read_to_the_end() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=2, n_embd=16, n_head=2, vocab_size=11, n_positions=8, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config)
    graph = record(model, {"input_ids": ids(2, 5)})
    infos = geometry_of(model, graph)
    assert feed(graph, "transformer.h.1.mlp.c_proj.weight").activation == "gelu_tanh"
    assert feed(graph, "transformer.h.1.attn.c_attn.weight").activation == "layer_norm"
    assert feed(graph, "transformer.h.1.attn.c_proj.weight").activation == "attention"
    assert infos["transformer.h.0.attn.c_attn.weight"].geometry.packing.sizes == (16, 16, 16)
    assert {info.source for info in infos.values()} == {"use"}
    ends = set(graph.residual_ends())
    assert {name for name in ends if name.endswith(".weight")} == {
        f"transformer.h.{layer}.{part}.c_proj.weight" for layer in (0, 1) for part in ("attn", "mlp")
    }


def test_the_layers_come_in_forward_order() -> None:
    graph = record(zoo.ViT(), noise(2, 3, 8, 8))
    assert [call.parameter for call in graph.layers()] == [
        f"{name}.weight" for name in ("patch", "qkv", "proj", "fc1", "fc2", "head")
    ]


def test_residual_branches_end_where_they_are_added_back() -> None:
    graph = record(zoo.ResNet(), noise(2, 3, 8, 8))
    ends = [name for name in graph.residual_ends() if name.endswith("weight")]
    assert ends == ["blocks.0.bn2.weight", "blocks.1.bn2.weight"]


def test_a_branch_without_weights_is_no_residual() -> None:
    """x + c·x³ of GELU's tanh form, and a gate beside an expert's output."""
    assert record(zoo.Composites(), noise(3, 8)).residual_ends() == ()
    assert record(zoo.SwiGLU(), noise(2, 5, 16)).residual_ends() == ("down.weight",)


def test_a_branch_ends_at_its_weight_whatever_scales_it_after() -> None:
    assert record(zoo.ViT(), noise(2, 3, 8, 8)).residual_ends() == ("proj.weight", "fc2.weight")


class Decay(nn.Module):
    """A learned scale that stays as the model made it: its own numbers count."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 4)
        self.log_decay = nn.Parameter(torch.linspace(0.0, 2.0, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.exp(-torch.exp(self.log_decay) * F.softplus(self.a(x))))


def test_a_kept_parameter_counts_with_its_own_numbers() -> None:
    graph = record(Decay(), noise(64, 8))
    z = noise(1 << 17, 8)
    expected = torch.exp(-torch.exp(torch.linspace(0.0, 2.0, 8)) * F.softplus(z)).square().mean()
    assert feed(graph, "b.weight").second_moment == pytest.approx(float(expected), rel=0.02)
    assert graph.uses("log_decay")[0].role == "other"


def test_a_vector_that_mixes_a_finished_norm_is_no_norm_weight() -> None:
    class Mix(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.mix = nn.LayerNorm(8), nn.Parameter(torch.rand(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(x)
            return x * self.mix + x.roll(1, 1) * (1 - self.mix)

    assert {use.role for use in record(Mix(), noise(2, 5, 8)).uses("mix")} == {"other"}


class Through(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], width: int = 8) -> None:
        super().__init__()
        self.a, self.b, self.function = nn.Linear(8, 8), nn.Linear(width, 4), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.function(self.a(x)))


def test_an_operation_without_a_rule_is_measured_and_said() -> None:
    """cumsum-like operations have no formula here: torch.fft's real part is run on noise."""
    found = feed(record(Through(lambda x: torch.fft.fft(x).abs()), noise(3, 8)), "b.weight")
    assert found.second_moment == pytest.approx(8.0, rel=0.02)  # Parseval: E|X|² = n E[x²]


def test_what_cannot_be_known_has_no_second_moment() -> None:
    model = Through(lambda x: torch.bernoulli(torch.sigmoid(x)))
    found = feed(record(model, noise(3, 8)), "b.weight")
    assert (found.source, found.second_moment) == ("unknown", None)
    assert "bernoulli" in found.note


def test_moments_that_rest_on_rare_numbers_are_not_known() -> None:
    """E[exp(6z)²] = e⁷² comes of z about 12: a batch shows some 10⁵ instead."""
    found = feed(record(Through(lambda x: torch.exp(6 * x)), noise(3, 8)), "b.weight")
    assert found.second_moment is None
    assert "batch" in found.note
    assert feed(record(Through(torch.exp), noise(3, 8)), "b.weight").second_moment == pytest.approx(math.exp(2))


def test_a_chain_of_functions_is_measured_where_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each of its n functions, which took 5 s for 1,000."""
    asked: list[int] = []
    moments = expressions.moments
    monkeypatch.setattr(expressions, "moments", lambda function: asked.append(1) or moments(function))

    def chain(x: torch.Tensor) -> torch.Tensor:
        for _ in range(11):
            x = torch.tanh(x * 1.5)
        return x

    found = feed(record(Through(chain), noise(3, 8)), "b.weight")
    x = chain(noise(1 << 18))
    assert len(asked) == 1
    assert found.second_moment == pytest.approx(float(x.square().mean()), rel=0.02)


def test_steps_of_a_scan_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken at step 7 of noise is what is taken at step 3; a product of two steps is another."""
    asked: list[int] = []
    measured = regions._measured
    monkeypatch.setattr(regions, "_measured", lambda *args: asked.append(1) or measured(*args))

    def steps(x: torch.Tensor) -> torch.Tensor:
        x = x.view(-1, 8, 8)
        made = [torch.softmax(x[:, step].tanh(), -1) * x[:, step] for step in range(8)]
        return torch.cat([*made, torch.softmax(x[:, 3], -1) * x[:, 4]])

    record(Through(steps), noise(64, 8)).uses("b.weight")
    assert len(asked) == 2  # the shares of a step times it, and times another


FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "relu6": F.relu6,
    "tanhshrink": F.tanhshrink,
    "sin": torch.sin,
    "square_relu": lambda x: F.relu(x).square(),
    "softsign": lambda x: x / (1 + x.abs()),
    "mish by hand": lambda x: x * torch.tanh(F.softplus(x)),
    "in place": lambda x: x.clone().mul_(2).tanh_(),
    "clamped": lambda x: x.clamp(-1, 1),
    "maximum": lambda x: torch.maximum(x, 0.3 * x),
    "shifted": lambda x: F.relu(x + 1) - 0.5,
    "powers": lambda x: x**2 - 1,
    "masked": lambda x: x * (x > 0),
    "views between": lambda x: x.unsqueeze(1).tanh().squeeze(1) * 1.5,
    "double": lambda x: x.double().tanh().float(),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_second_moment_of_any_scalar_function(case: str) -> None:
    function = FUNCTIONS[case]
    found = feed(record(Through(function), noise(3, 8)), "b.weight")
    z = noise(1 << 20)
    with torch.no_grad():
        values = function(z.view(-1, 8)).double().square()
    error = values.std() / values.numel() ** 0.5
    assert found.function is not None
    assert abs(found.second_moment - values.mean()) < 5 * error + 1e-6
    point = torch.tensor([-1.3, 0.2, 2.1], dtype=torch.float64)
    assert torch.allclose(found.function(point), function(point.view(1, 3)).view(3).double())


def test_lstm_state_settles_where_it_is_said_to() -> None:
    width = 512
    lstm = nn.LSTM(width, width)
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.chunk(4):
                    nn.init.orthogonal_(gate, generator=torch.Generator().manual_seed(1))
            elif name.startswith("weight_ih"):
                parameter.copy_(noise(*parameter.shape) / width**0.5)
            else:
                parameter.zero_()
        lstm.bias_ih_l0[width : 2 * width] = 1.0
        state = lstm(noise(40, 4, width))[0][-1]
    assert state.square().mean() == pytest.approx(SETTLED, rel=0.2)  # gates are dependent in truth; 4 × 512 numbers


def scaled_by_feeds(model: nn.Module, graph: SignalGraph, seed: int) -> None:
    """Var(W) = 1/(fan_in · E[φ²]) from the graph alone; biases zero."""
    infos = geometry_of(model, graph)
    parameters = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, info in infos.items():
            if info.role == "weight":
                second = feed(graph, name).second_moment
                std = (info.geometry.fan_in * second) ** -0.5
                parameters[name].copy_(std * torch.randn(parameters[name].shape, generator=generator))
            elif info.role == "bias":
                parameters[name].zero_()


def wide(count: int, function: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.Linear(256, 256), function()]
    return nn.Sequential(*layers, nn.Linear(256, 256))


KEPT: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "relu": (lambda: wide(8, nn.ReLU), (64, 256)),
    "tanh": (lambda: wide(8, nn.Tanh), (64, 256)),
    "gelu": (lambda: wide(8, nn.GELU), (64, 256)),
    "sigmoid": (lambda: wide(4, nn.Sigmoid), (64, 256)),
    "composites": (lambda: nn.Sequential(*(zoo.Composites(256) for _ in range(3))), (64, 256)),
    "swiglu": (lambda: nn.Sequential(zoo.Packed(256), zoo.Packed(256)), (64, 256)),
    "max pool": (
        lambda: nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 64, 3)),
        (16, 3, 16, 16),
    ),
    "average pool": (
        lambda: nn.Sequential(nn.Conv2d(3, 64, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(64, 64, 3)),
        (16, 3, 16, 16),
    ),
    "transposed": (
        lambda: nn.Sequential(nn.Conv2d(3, 64, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2), nn.Conv2d(32, 64, 1)),
        (16, 3, 16, 16),
    ),
    "depthwise": (
        lambda: nn.Sequential(nn.Conv2d(3, 64, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, groups=64), nn.Conv2d(64, 64, 1)),
        (16, 3, 16, 16),
    ),
    "experts": (lambda: zoo.Experts(128), (256, 128)),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_weights_scaled_by_their_feeds_keep_the_second_moment(case: str) -> None:
    build, shape = KEPT[case]
    model, x = build(), noise(*shape)
    graph = record(model, x)
    seen: list[float] = []
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            module.register_forward_hook(lambda _, __, out: seen.append(float(out.square().mean())))
    draws = 10
    with torch.no_grad():
        for seed in range(100, 100 + draws):
            scaled_by_feeds(model, graph, seed)
            model(x)
    logs = torch.tensor(seen).view(draws, -1).log()
    # One draw of a 256-wide layer scatters by 10% and more, and the scatter adds up with depth: t below 5 is no drift.
    error = logs.std(0) / draws**0.5
    assert (logs.mean(0).abs() < 5 * error + 0.05).all(), logs.mean(0).exp()


def test_a_norm_written_out_with_a_choice_between_a_signal_and_a_constant_is_a_norm() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            square = x.square().mean(-1, keepdim=True)
            square = torch.where(torch.tensor(True), square, torch.tensor(float("nan")))
            return self.last(x * torch.rsqrt(square.reshape(-1, 1) + 1e-5))

    feed = record(Normed(), torch.randn(8, 16)).uses("last.weight")[0].feeds
    assert feed is not None
    assert feed.source == "norm"


class ShiftedStream(nn.Module):
    """(x + b)·s + f(x): the stream is shifted and scaled by what is trained before a branch is added."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.down, self.read = (nn.Linear(8, 8) for _ in range(4))
        self.shift, self.scale = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.ones(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.read((x + self.shift) * self.scale + self.down(self.up(x).relu()))


def test_a_stream_may_be_shifted_and_scaled_before_a_branch_is_added() -> None:
    assert record(ShiftedStream(), noise(3, 8)).residual_ends() == ("down.weight",)


def test_a_rule_that_fails_costs_that_rule_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it makes is taken for unknown, and said to be; a pass measures what reads it."""
    rule = Op.signals

    def broken(op: Op, flow: Flow, operation: Operation) -> list[Signal]:
        if operation.kind == "cumsum":
            raise ZeroDivisionError("moments of nothing")
        return rule(op, flow, operation)

    monkeypatch.setattr(Op, "signals", broken)
    with pytest.warns(RuntimeWarning, match="rule of cumsum failed: ZeroDivisionError moments of nothing"):
        feeds = record(Summed(), torch.randn(256, 8)).uses("last.weight")[0].feeds
    assert feeds is not None
    assert feeds.note == "the rule of cumsum failed: ZeroDivisionError moments of nothing"


class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 64), nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x).cumsum(-1).relu())


@pytest.mark.parametrize("learned", [False, True])
def test_rows_that_a_signal_chose_are_the_tables_numbers_and_not_the_places(learned: bool) -> None:
    class Codes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            drawn = 0.1 * torch.randn(1, 64, 16, generator=torch.Generator().manual_seed(0))
            if learned:
                self.codes = nn.Parameter(drawn)
            else:
                self.register_buffer("codes", drawn)
            self.first, self.read = nn.Linear(16, 16), nn.Linear(16, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            near = torch.cdist(self.first(x)[None], self.codes).argmin(-1)
            return self.read(self.codes.gather(1, near[..., None].expand(-1, -1, 16))[0])

    graph = record(Codes(), torch.randn(32, 16))
    found = feed(graph, "read.weight")
    assert found.second_moment == pytest.approx(1.0 if learned else 0.01, rel=0.1)
    assert not learned or "embedding" in [use.role for use in graph.uses("codes")]
