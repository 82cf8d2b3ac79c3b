"""The promises on planning and writing, each held by a test of its number."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.sampling import canonical_name, laws


class Separable(nn.Module):
    """Depthwise, grouped, dilated and transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(32, 32, 5, groups=32)
        self.grouped = nn.Conv2d(32, 64, 3, groups=4, dilation=2)
        self.up = nn.ConvTranspose2d(64, 24, 4, stride=2)
        self.up_grouped = nn.ConvTranspose1d(24, 48, 5, groups=3)
        self.norm = nn.BatchNorm2d(24)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, 32, padding_idx=3)
        self.position = nn.Parameter(torch.zeros(1, 16, 32))
        self.blocks = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 3)
        self.out = nn.Linear(32, 64, bias=False)
        self.out.weight = self.embed.weight


ZOO: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 9)),
    "separable": Separable,
    "cnn": lambda: nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.PReLU()),
    "conv13": lambda: nn.Sequential(nn.Conv1d(8, 24, 5), nn.Conv3d(4, 16, 3)),
    "transformer": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(48, 4, 96), 2),
    "cross_attention": lambda: nn.MultiheadAttention(32, 4, kdim=24, vdim=40, add_bias_kv=True),
    "lstm": lambda: nn.LSTM(24, 32, num_layers=2, bidirectional=True, proj_size=16),
    "gru": lambda: nn.GRU(24, 32),
    "cells": lambda: nn.ModuleList([nn.LSTMCell(24, 32), nn.GRUCell(24, 32), nn.RNNCell(24, 32)]),
    "tied": Tied,
    "bilinear": lambda: nn.Bilinear(12, 14, 16),
    "bag": lambda: nn.EmbeddingBag(40, 16, padding_idx=0),
}

zoo = pytest.mark.parametrize("build", ZOO.values(), ids=ZOO.keys())


def bits(model: nn.Module) -> dict[str, bytes]:
    return {n: p.detach().contiguous().view(torch.uint8).numpy().tobytes() for n, p in model.named_parameters()}


def poison(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    return model


LAYERS = {"a": (5, 6), "b": (6, 5), "c": (17, 3), "d": (4, 4), "e": (1, 9)}


def stack(names: list[str]) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(*LAYERS[name]) for name in names})


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(st.sampled_from(sorted(LAYERS)), unique=True, min_size=1),
    after=st.lists(st.sampled_from(sorted(LAYERS)), unique=True, min_size=1),
    seed=st.integers(0, 2**64 - 1),
    policy=st.sampled_from(["he_normal", "xavier_uniform", "orthogonal", "truncated_normal"]),
)
def test_promise_01_insert_delete_reorder(before: list[str], after: list[str], seed: int, policy: str) -> None:
    one, other = stack(before), stack(after)
    initlab.init_(one, policy, seed=seed)
    initlab.init_(other, policy, seed=seed)
    for name in set(before) & set(after):
        assert torch.equal(one[name].weight, other[name].weight)


def test_promise_01_each_input_of_the_stream_matters() -> None:
    def first(module: nn.Module, policy: Any = "normal", seed: int = 0) -> list[float]:
        initlab.init_(module, policy, seed=seed)
        return next(module.parameters()).detach().reshape(-1)[:8].tolist()

    base = first(nn.Sequential(nn.Linear(8, 8)))
    assert base == first(nn.Sequential(nn.Linear(8, 8)))
    others = [
        first(nn.Sequential(nn.Linear(8, 8)), seed=1),
        first(nn.Sequential(nn.Linear(8, 8)), seed=2**32),  # torch's CPU generator would drop these bits
        first(nn.Sequential(nn.ReLU(), nn.Linear(8, 8))),
        first(nn.Sequential(nn.Linear(8, 9))),
        first(nn.Sequential(nn.Linear(8, 8)), "uniform"),
    ]
    assert all(base != other for other in others)


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module, name: str) -> None:
        super().__init__()
        self.add_module(name, inner)


@pytest.mark.parametrize("name", ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_promise_01_wrappers_do_not_change_values(name: str) -> None:
    plain, wrapped = ZOO["cnn"](), Wrapper(Wrapper(ZOO["cnn"](), name), "module")
    initlab.init_(plain, seed=4)
    plan = initlab.init_(wrapped, seed=4)
    assert [e.name for e in plan.entries] == [n for n, _ in plain.named_parameters()]
    assert list(bits(plain).values()) == list(bits(wrapped).values())
    initlab.init_(wrapped, initlab.plan(plain), seed=4)
    assert list(bits(plain).values()) == list(bits(wrapped).values())


def test_promise_01_compiled_and_data_parallel_models() -> None:
    plain, inner = ZOO["mlp"](), ZOO["mlp"]()
    initlab.init_(plain, seed=4)
    initlab.init_(torch.compile(inner), seed=4)
    assert bits(plain) == bits(inner)


def test_promise_01_unicode_forms_are_one_name() -> None:
    composed, decomposed = nn.ModuleDict({"caf\u00e9": nn.Linear(4, 4)}), nn.ModuleDict({"cafe\u0301": nn.Linear(4, 4)})
    initlab.init_(composed)
    initlab.init_(decomposed)
    assert list(bits(composed).values()) == list(bits(decomposed).values())


@pytest.mark.parametrize(
    "pair",
    [("caf\u00e9", "cafe\u0301"), ("fc", "module.fc"), ("_orig_mod.fc", "module.fc")],
    ids=["unicode", "module", "both"],
)
def test_promise_01_names_that_would_share_a_stream_are_refused(pair: tuple[str, str]) -> None:
    model = nn.Module()
    for name in pair:
        at = model
        *path, last = name.split(".")
        for step in path:
            if not hasattr(at, step):
                at.add_module(step, nn.Module())
            at = getattr(at, step)
        at.add_module(last, nn.Linear(3, 3))
    before = bits(model)
    with pytest.raises(InputError, match="two parameters are both called"):
        initlab.init_(model)
    assert bits(model) == before


def global_state() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()
    return torch.random.get_rng_state().numpy().tobytes(), kind, keys.tobytes(), *rest, random.getstate()


@zoo
def test_promise_06_global_rng_is_neither_read_nor_moved(build: Callable[[], nn.Module]) -> None:
    model = build()
    results = []
    for start in (0, 1):
        torch.manual_seed(start)
        np.random.seed(start)
        random.seed(start)
        before = global_state()
        plan = initlab.plan(model)
        repr(plan), plan.to_frame(), plan.explain(plan.entries[0].name)
        initlab.init_(model, seed=9)
        assert global_state() == before
        results.append(bits(model))
    assert results[0] == results[1]


class Draws(nn.Module):
    """An activation that draws from every global generator, though its values do not show it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.rand(1), np.random.rand(), random.random()
        return torch.relu(x)


@pytest.mark.parametrize("inputs", [None, torch.zeros(2, 8), (2, 8)], ids=["order", "tensor", "shape"])
def test_promise_06_a_model_that_draws_moves_nothing(inputs: Any) -> None:
    model = nn.Sequential(nn.Linear(8, 8), Draws(), nn.Linear(8, 8))
    before = global_state()
    plan = initlab.init_(model, example_inputs=inputs)
    assert global_state() == before
    assert plan["2.weight"].gain == pytest.approx(math.sqrt(2))


def test_promise_07_all_pairs_of_tensors_are_uncorrelated() -> None:
    """Under independence √n·r is standard normal to O(1/n); the largest of all pairs is held to a level of 1e-6."""
    model = nn.ModuleDict({f"layer{i}": nn.Linear(64, 64, bias=False) for i in range(48)})
    initlab.init_(model, "he_normal", seed=11)
    flat = np.stack([p.detach().numpy().reshape(-1).astype(np.float64) for p in model.parameters()])
    correlation = np.corrcoef(flat)[np.triu_indices(len(flat), 1)]
    bound = stats.norm.isf(1e-6 / 2 / correlation.size)
    assert np.abs(correlation * math.sqrt(flat.shape[1])).max() < bound


def test_promise_07_packed_blocks_are_uncorrelated() -> None:
    """The q, k and v blocks of one tensor, and the gates of one LSTM, are streams of their own too."""
    model = nn.ModuleDict({"a": nn.MultiheadAttention(64, 4), "r": nn.LSTM(64, 64)})
    initlab.init_(model, "orthogonal", seed=12)
    blocks = [*model["a"].in_proj_weight.chunk(3), *model["r"].weight_ih_l0.chunk(4), *model["r"].weight_hh_l0.chunk(4)]
    flat = np.stack([b.detach().numpy().reshape(-1).astype(np.float64) for b in blocks])
    correlation = np.corrcoef(flat)[np.triu_indices(len(flat), 1)]
    assert np.abs(correlation * 64).max() < stats.norm.isf(1e-6 / 2 / correlation.size)


@given(st.lists(st.text(min_size=1, max_size=6).filter(lambda s: "." not in s), min_size=2, max_size=5, unique=True))
@settings(max_examples=60, deadline=None)
def test_promise_07_distinct_names_give_distinct_values(names: list[str]) -> None:
    model = nn.Module()
    for name in names:
        if hasattr(model, name):
            return
        model.add_module(name, nn.Linear(8, 2, bias=False))
    if len({canonical_name(f"{name}.weight") for name in names}) < len(names):
        with pytest.raises(InputError, match="both called"):
            initlab.init_(model, "normal", seed=2)
        return
    initlab.init_(model, "normal", seed=2)
    for one, other in itertools.combinations(model.parameters(), 2):
        assert not torch.equal(one, other)


def test_promise_07_seeds_use_all_their_bits() -> None:
    seen = set()
    for seed in [0, 1, 2**31, 2**32, 2**32 + 1, 2**63, 2**64 - 1]:
        model = nn.Linear(4, 4)
        initlab.init_(model, seed=seed)
        seen.add(bits(model)["weight"])
    assert len(seen) == 7


@zoo
@pytest.mark.parametrize("policy", ["auto", "torch_default", "he_normal", "gpt2", "gan", "zero_gamma", "zeros"])
def test_promise_10_nothing_is_forgotten(build: Callable[[], nn.Module], policy: str) -> None:
    model = poison(build())
    plan = initlab.init_(model, policy, seed=1)
    names = [name for name, _ in model.named_parameters()]
    assert [entry.name for entry in plan.entries] == names
    assert [buffer.name for buffer in plan.buffers] == [name for name, _ in model.named_buffers()]
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert plan.counts["write"] == len(names)


@zoo
def test_promise_10_what_is_kept_keeps_its_bits(build: Callable[[], nn.Module]) -> None:
    model = build()
    names = [name for name, _ in model.named_parameters()]
    before = bits(model)
    plan = initlab.init_(model, "normal", seed=1, keep=names[::2])
    after = bits(model)
    for entry in plan.entries:
        assert (before[entry.name] == after[entry.name]) is (entry.name in names[::2]) or entry.std == 0


def test_promise_10_buffers_are_left_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model[1].running_mean.fill_(0.5)
    plan = initlab.init_(model)
    assert (model[1].running_mean == 0.5).all()
    assert [b.name for b in plan.buffers] == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert "3 buffers kept" in repr(plan)


def test_promise_10_cloned_encoder_layers_are_found() -> None:
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), 3)
    kept = initlab.init_(model, keep="**.linear1.*")
    equal = [w for w in kept.warnings if "start out equal" in w]
    assert any("layers.0.linear1.weight, layers.1.linear1.weight, layers.2.linear1.weight" in w for w in equal)
    assert any("layers.0.linear1.bias" in w for w in equal)
    assert len(equal) == 2
    drawn = initlab.init_(model)
    assert not drawn.warnings
    assert not torch.equal(model.layers[0].linear1.weight, model.layers[1].linear1.weight)


def test_promise_10_the_plan_alone_finds_kept_clones() -> None:
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), 2)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("linear2" not in name)
    assert any("start out equal: layers.0.linear2.weight" in warning for warning in initlab.plan(model).warnings)


def law_std_of(entry: initlab.PlanEntry) -> float:
    assert entry.law is not None
    return entry.law.std_of(entry.shape)


def check_std(values: np.ndarray, law: laws.Law, where: str) -> None:
    """The exact chi-square interval of a normal law at level 1e-6, which holds the bounded laws' too."""
    parts = getattr(law, "laws", None)
    if parts is not None:
        axis = law.axis
        for cut, part in zip(np.split(values, np.cumsum(law.sizes)[:-1], axis=axis), parts, strict=True):
            check_std(cut, part, where)
        return
    n, square = values.size, float((values.astype(np.float64) ** 2).sum())
    if law.std_of(values.shape) == 0:
        assert np.abs(values - law.mean).max() <= 1e-7 * max(1, abs(law.mean)), where
    elif law.family == "orthogonal":
        assert square / n == pytest.approx(law.std_of(values.shape) ** 2, rel=1e-4), where
    elif law.family == "normal":
        centred = float(((values.astype(np.float64) - law.mean) ** 2).sum()) / law.std**2
        low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], n)
        assert low < centred < high, where
    else:
        # Var(x²) ≤ 2σ⁴ for uniform and truncated normal (kurtosis ≤ 3): the normal interval is wider than theirs.
        low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], n)
        assert low < square / law.std**2 < high, where


@zoo
@pytest.mark.parametrize(
    "policy", ["auto", "torch_default", "gpt2", "gan", "he_normal", "xavier_uniform", "orthogonal", "truncated_normal"]
)
def test_promise_11_the_std_written_is_the_std_planned(build: Callable[[], nn.Module], policy: str) -> None:
    model = build()
    plan = initlab.init_(model, policy, seed=21)
    for entry in plan.entries:
        values = dict(model.named_parameters())[entry.name].detach().numpy()
        assert entry.law is not None
        assert entry.std == law_std_of(entry)
        check_std(values, entry.law, f"{entry.name}: {entry!r}")


@pytest.mark.parametrize(
    ("module", "name", "variance"),
    [
        # fan_in by hand: inputs that one output sums over
        (lambda: nn.Linear(128, 256), "weight", 2 / 128),
        (lambda: nn.Conv2d(64, 64, 3, groups=64), "weight", 2 / 9),
        (lambda: nn.Conv2d(32, 64, 3, groups=4), "weight", 2 / 72),
        (lambda: nn.ConvTranspose2d(64, 16, 3), "weight", 2 / 576),
        (lambda: nn.ConvTranspose2d(64, 32, 4, stride=2), "weight", 2 / 256),
        (lambda: nn.MultiheadAttention(96, 4), "in_proj_weight", 2 / 96),
        (lambda: nn.LSTM(64, 96), "weight_ih_l0", 2 / 64),
        (lambda: nn.LSTM(64, 96), "weight_hh_l0", 2 / 96),
    ],
    ids=["linear", "depthwise", "grouped", "transposed", "transposed stride 2", "qkv", "gates ih", "gates hh"],
)
def test_promise_11_he_normal_on_layers_that_shapes_mislead(
    module: Callable[[], nn.Module], name: str, variance: float
) -> None:
    model = module()
    initlab.init_(model, "he_normal", seed=3)
    values = dict(model.named_parameters())[name].detach().numpy().astype(np.float64)
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], values.size)
    assert low < (values**2).sum() / variance < high


def test_a_hundred_thousand_modules() -> None:
    layers = [nn.Linear(1, 1, bias=False) if i % 40 == 0 else nn.Tanh() for i in range(100_000)]
    plan = initlab.init_(nn.Sequential(*layers), "normal")
    assert len(plan) == plan.counts["write"] == 2500
    assert len(repr(plan)) < 100_000


def test_nesting_beyond_pythons_recursion_limit() -> None:
    model: nn.Module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    for _ in range(2000):
        model = nn.Sequential(model)
    assert initlab.init_(model).entries[2].gain == pytest.approx(math.sqrt(2))


def test_a_tensor_of_more_than_four_billion_elements_is_planned() -> None:
    with torch.device("meta"):
        model = nn.Linear(2**17, 2**16)
    assert initlab.plan(model, policy="he_normal")["weight"].std == pytest.approx(math.sqrt(2 / 2**17))
