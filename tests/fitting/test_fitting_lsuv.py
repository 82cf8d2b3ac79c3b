"""LSUV: unit variance in any architecture, in forward order, shared weights once; nothing half written if refused."""

from __future__ import annotations

import contextlib
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import initlab
from initlab.errors import InputError
from initlab.fitting import lsuv_


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        h = h + self.b(torch.relu(self.norm(self.a(h))))
        return self.head(h.mean((2, 3)))


class ByHand(nn.Module):
    """Raw parameters in matmul, einsum, a transposed use, and a branch that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.ones(6, 9)), nn.Parameter(torch.ones(9, 7))
        self.third, self.fourth = nn.Parameter(torch.ones(4, 7)), nn.Parameter(torch.ones(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(x @ self.first)
        h = torch.einsum("bi,ij->bj", h, self.second)
        h = functional.linear(h if h.mean() < 1e9 else -h, self.third)
        return (self.fourth @ h.T).T


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(4):
            x = torch.tanh(self.layer(x))
        return self.out(x)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.rnn, self.head = kind(5, 7, 2, batch_first=True, bidirectional=True), nn.Linear(14, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.cross = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        h = self.block(self.embed(tokens))
        h = h + self.cross(h, h * 2, h * 3)[0]
        return {"logits": self.head(h)}


ARCHITECTURES: dict[str, tuple[Any, Any, list[str]]] = {
    "stack": (
        lambda: nn.Sequential(*[m for _ in range(20) for m in (nn.Linear(40, 40), nn.ReLU())]),
        rows(64, 40),
        [f"{2 * i}.weight" for i in range(20)],
    ),
    "residual": (Residual, rows(8, 3, 8, 8), ["stem.weight", "a.weight", "b.weight", "head.weight"]),
    "by hand": (ByHand, rows(32, 6), ["first", "second", "third", "fourth"]),
    "shared": (Shared, rows(32, 6), ["layer.weight", "out.weight"]),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2), nn.ReLU(), nn.Conv2d(6, 2, 1), nn.Flatten()),
        rows(8, 4, 5, 5),
        ["0.weight", "2.weight"],
    ),
    "bilinear": (lambda: nn.Bilinear(5, 6, 8), (rows(32, 5), rows(32, 6, seed=1)), ["weight"]),
    "conv1d and 3d": (
        lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.Unflatten(1, (2, 2, 2)), nn.Conv3d(2, 4, 2), nn.Flatten(1)),
        rows(6, 3, 6),
        ["0.weight", "2.weight"],
    ),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_has_unit_variance_in_forward_order(name: str) -> None:
    build, batch, names = ARCHITECTURES[name]
    model = build()
    result = lsuv_(model, batch)
    assert [layer.name for layer in result.layers] == names
    assert result.converged
    for layer in result.layers:
        assert abs(layer.std_after**2 - 1) <= 0.01


def test_the_real_forward_shows_the_same_variances() -> None:
    """Independent of the result's own words: hooks on an ordinary forward pass."""
    model = Residual().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()  # what LSUV promises: the batch's own statistics
    batch, seen = rows(8, 3, 8, 8), {}
    lsuv_(model, batch, tolerance=1e-4)
    for label, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda m, a, out, label=label: seen.update({label: float(out.detach().var())}))
    model(batch)
    assert set(seen) == {"stem", "a", "b", "head"}
    for label, variance in seen.items():
        assert variance == pytest.approx(1.0, abs=0.03), label


def test_directions_stay_orthogonal() -> None:
    model = nn.Sequential(nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 30))
    lsuv_(model, rows(64, 30))
    for layer in (model[0], model[2]):
        gram = layer.weight.detach() @ layer.weight.detach().T
        torch.testing.assert_close(gram / gram[0, 0], torch.eye(30), atol=1e-5, rtol=0)


def test_biases_are_allowed_for_by_iterating() -> None:
    model = nn.Sequential(nn.Linear(6, 50))
    nn.init.constant_(model[0].weight, 0.0)
    with torch.no_grad():
        model[0].weight.copy_(rows(50, 6) * 3)
        model[0].bias.copy_(rows(50, seed=2) * 0.7)
    result = lsuv_(model, rows(64, 6), start=None, tolerance=1e-3, max_iterations=50)
    assert result.layers[0].iterations > 1
    assert result.converged


def test_a_bias_too_large_for_unit_variance_is_said() -> None:
    model = nn.Sequential(nn.Linear(6, 50))
    with torch.no_grad():
        model[0].bias.copy_(rows(50, seed=2) * 7)
    result = lsuv_(model, rows(64, 6), start=None, max_iterations=4)
    assert not result.converged
    assert result.layers[0].iterations == 4


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_input_weights_are_scaled_gate_by_gate(kind: type[nn.RNNBase]) -> None:
    model, batch = Recurrent(kind), rows(16, 9, 5)
    result = lsuv_(model, batch, tolerance=1e-4)
    assert result.converged
    assert {name for name in result.skipped if "weight_hh" in name} == {
        f"rnn.weight_hh_l{layer}{direction}" for layer in (0, 1) for direction in ("", "_reverse")
    }
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[kind]
    projected = batch.reshape(-1, 5) @ model.rnn.weight_ih_l0.detach().T
    for gate in projected.chunk(gates, dim=1):
        assert float(gate.var(correction=0)) == pytest.approx(1.0, abs=1e-3)


def test_transformer_blocks_tied_embedding_and_attention_chunks() -> None:
    tokens = torch.randint(0, 11, (6, 9), generator=torch.Generator().manual_seed(0))
    result = lsuv_(Transformer(), {"tokens": tokens})
    names = [layer.name for layer in result.layers]
    for block in ("query", "key", "value"):
        assert f"block.self_attn.in_proj_weight[{block}]" in names
        assert f"cross.in_proj_weight[{block}]" in names
    assert "embedding" in result.skipped["embed.weight"]
    assert result.converged


def test_autocast_copies_are_followed() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(32, 32)

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.layer(x)

    model = Cast()
    result = lsuv_(model, rows(64, 32) * 5, tolerance=0.02)
    assert result.converged
    assert float((rows(64, 32) * 5 @ model.layer.weight.detach().T).var()) == pytest.approx(1.0, abs=0.05)


def test_parts_of_autocast_copies_are_scaled_gate_by_gate_and_chunk_by_chunk() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
            self.cell = nn.LSTM(16, 8, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.cell(self.attention(x, x * 2.0, x * 3.0)[0])[0]

    model, batch = Cast(), rows(64, 7, 16)
    result = lsuv_(model, batch, tolerance=0.05)
    assert result.converged
    weights = model.attention.in_proj_weight.detach().chunk(3)
    for size, weight in zip((1, 2, 3), weights, strict=True):
        assert float((size * batch @ weight.T).var()) == pytest.approx(1.0, abs=0.06)
    assert [layer.name for layer in result.layers if layer.name.startswith("cell")] == [
        f"cell.weight_ih_l0[{gate}]" for gate in ("input", "forget", "cell", "output")
    ]


def test_what_cannot_be_scaled_is_said() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.normed = torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
            self.zeroed, self.unused = nn.Linear(4, 4), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.normed(x) + self.zeroed(torch.zeros_like(x))

    result = lsuv_(Odd(), rows(8, 4), start=None)
    assert "zeroed.weight" in result.skipped or "zeroed.weight" in {layer.name for layer in result.layers}
    assert "no linear operation" in result.skipped["unused.weight"]
    assert any(name.startswith("normed") for name in result.skipped)


def test_repr_is_a_table() -> None:
    text = repr(lsuv_(Shared(), rows(32, 6)))
    assert "layer.weight" in text
    assert "std before" in text


@pytest.mark.parametrize("seed", [0, 5])
def test_the_same_seed_gives_the_same_bits(seed: int) -> None:
    first, second = Residual(), Residual()
    batch = rows(8, 3, 8, 8)
    lsuv_(first, batch, seed=seed)
    lsuv_(second, batch, seed=seed)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_flags_buffers_and_random_states_stay() -> None:
    class Noisy(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 0 * torch.rand(1) + 0 * random.random() + 0 * float(np.random.rand()))

    model = Noisy().train()
    model.norm.eval()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    states = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()
    lsuv_(model, rows(8, 3, 8, 8))
    assert model.training
    assert not model.norm.training
    for name, value in model.named_buffers():
        assert torch.equal(value, buffers[name]), name
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.random.get_rng_state(), states[2])


class Exits(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        raise SystemExit(3)


class Interrupted(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("batch", "options", "message"),
    [
        (torch.full((4, 6), math.nan), {}, "NaN or infinite"),
        (torch.full((4, 6), math.inf), {}, "NaN or infinite"),
        (torch.zeros(0, 6), {}, "at least one sample"),
        (torch.zeros(4, 7), {}, "the forward pass failed in module '0'"),
        ("text", {}, "tensor"),
        (np.array([["a"]]), {}, "numbers"),
        (rows(4, 6), {"tolerance": math.nan}, "tolerance"),
        (rows(4, 6), {"tolerance": 0.0}, "tolerance"),
        (rows(4, 6), {"max_iterations": 0}, "max_iterations"),
        (rows(4, 6), {"max_iterations": 2.5}, "max_iterations"),
        (rows(4, 6), {"seed": -1}, "seed"),
        (rows(4, 6), {"start": "orthogonl"}, "orthogonal"),
        (torch.full((4, 6), 1e38), {}, "not finite"),
    ],
)
def test_a_refused_call_leaves_the_model_as_it_was(batch: Any, options: dict[str, Any], message: str) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(InputError, match=message) as caught:
        lsuv_(model, batch, **options)
    assert "\n" not in str(caught.value)
    for kept, parameter in zip(before, model.parameters(), strict=True):
        assert torch.equal(kept, parameter)


@pytest.mark.parametrize(("kind", "error"), [(Exits, InputError), (Interrupted, KeyboardInterrupt)])
def test_a_forward_that_ends_badly_leaves_the_model_as_it_was(kind: Any, error: type[BaseException]) -> None:
    model = kind(nn.Linear(6, 6), nn.Linear(6, 6))
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(error):
        lsuv_(model, rows(8, 6))
    for kept, parameter in zip(before, model.parameters(), strict=True):
        assert torch.equal(kept, parameter)
    assert not torch._C._get_mkldnn_enabled() or torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.ReLU(), "parameters"),
        ("net", "torch.nn.Module"),
        (nn.LazyLinear(3), "lazy"),
        (nn.Linear(2, 2, device="meta"), "meta"),
    ],
)
def test_models_that_cannot_be_set_are_refused(model: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lsuv_(model, rows(4, 2))


def test_fifty_layers_keep_their_signal() -> None:
    """Mishkin & Matas 2016: where He's start drifts in a finite net, LSUV holds each layer at 1."""
    build = lambda: nn.Sequential(*[m for _ in range(50) for m in (nn.Linear(32, 32), nn.ReLU())])  # noqa: E731
    batch = rows(128, 32)
    plain, tuned = build(), build()
    initlab.init_(plain, "xavier_normal")
    lsuv_(tuned, batch)
    assert float(plain[:-1](batch).detach().std()) < 1e-3
    assert float(tuned[:-1](batch).detach().std()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "LlamaForCausalLM", "BertModel", "ViTModel"])
def test_transformers_models_that_nothing_here_names(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    small = {
        "vocab_size": 100,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    configs = {
        "GPT2LMHeadModel": lambda: transformers.GPT2Config(vocab_size=100, n_embd=32, n_layer=2, n_head=2),
        "LlamaForCausalLM": lambda: transformers.LlamaConfig(**small, num_key_value_heads=1),
        "BertModel": lambda: transformers.BertConfig(**small),
        "ViTModel": lambda: transformers.ViTConfig(**small, image_size=16, patch_size=4),
    }
    model = getattr(transformers, name)(configs[name]())
    tokens = torch.randint(0, 100, (4, 16), generator=torch.Generator().manual_seed(0))
    result = lsuv_(model, rows(4, 3, 16, 16) if name == "ViTModel" else tokens)
    assert result.converged
    assert len(result.layers) >= 8
    assert all("embed" in each or "wte" in each or "wpe" in each for each in result.skipped)


def test_a_deep_model_that_prints_runs_as_it_does_bare(capsys: pytest.CaptureFixture[str]) -> None:
    class Loud(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            print("hello")
            return super().forward(x)

    batch, deeper = torch.linspace(-1, 1, 512).reshape(64, 8).sin(), [nn.Sequential(Loud(8, 4))]
    with contextlib.suppress(RecursionError):  # Python 3.12 bounds its frames of C, whatever limit is set
        while True:
            deeper[-1](batch)
            deeper.append(nn.Sequential(nn.Sequential(nn.Sequential(deeper[-1]))))
    capsys.readouterr()
    lsuv_(deeper[-3], batch)
    assert capsys.readouterr().out == ""
