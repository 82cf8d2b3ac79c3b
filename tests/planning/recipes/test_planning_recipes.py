"""Recipes against the numbers of their sources and the draws of their reference libraries, and what they refuse."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from recipe_numbers import CONFIRMED, NUMBERS, checks_of, within
from recipe_zoo import HEADS, IDS, IMAGES, ROWS, ActorCritic, Adapted, Conv, D, Recurrent, Transformer, ViT
from recipe_zoo_2 import PLACES, WIDE, Admin, Gated, LowRank, StateSpaces, SubPixel
from scipy.stats import kstest
from torch import nn
from torch.nn import functional as F

import initlab
from initlab.errors import InputError
from initlab.planning import get_policy, list_policies
from initlab.sampling.whole_laws import Curved


@pytest.mark.parametrize("recipe", NUMBERS)
def test_the_numbers_are_those_of_the_source(recipe: str) -> None:
    """The plan's std for each role, and what `init_` writes: constants exactly, the std within its exact interval."""
    assert [case for case in checks_of(recipe) if not case.holds] == []


def test_every_recipe_has_its_numbers_tested() -> None:
    elsewhere = {"auto", "torch_default"}
    assert set(NUMBERS) | elsewhere == set(list_policies()) == set(CONFIRMED)


@pytest.mark.parametrize("recipe", list_policies())
def test_numbers_that_were_read_name_where(recipe: str) -> None:
    """A repository's path with the commit that was read; a section where the source's own words were."""
    kind, where = CONFIRMED[recipe]
    made = get_policy(recipe)
    said = f"{made.code} {made.source} {where}"
    wanted = {"read": r"\S+/\S+.* \([0-9a-f]{7}\b", "words": r"section \d|README", "drawn": r"\w+", "derived": r"\w+"}
    assert re.search(wanted[kind], said), said


@pytest.mark.parametrize(
    ("recipe", "model", "inputs", "message"),
    [
        ("fixup", Conv("norm"), IMAGES, "needs a model without norms, and Conv has none"),
        ("fixup", nn.Linear(8, 2), ROWS, "needs residual branches that end in a weight, and Linear has none.*Zhang"),
        ("skipinit", Conv("norm"), IMAGES, "needs a factor on every residual branch"),
        ("rezero", Transformer("pre"), IDS, "needs a factor on every residual branch"),
        ("dit", ViT(), IMAGES, r"needs adaptive norms \(adaLN\), and ViT has none"),
        ("stylegan2", nn.Linear(8, 2), ROWS, "needs weights that are scaled when they are used"),
        ("lora", nn.Linear(8, 2), ROWS, "needs adapters"),
        ("irnn", nn.Linear(8, 2), ROWS, "needs a recurrent layer"),
        (
            "irnn",
            nn.GRU(8, 16, bias=False),
            torch.randn(3, 2, 8),
            "needs recurrent layers without gates, and GRU has none",
        ),
        ("t5", nn.Linear(8, 2), ROWS, "needs attention with queries of their own"),
        ("deepnorm", Transformer("plain"), IDS, "needs the scale of a norm"),
        ("retinanet", ActorCritic(), ROWS, "needs one read-out, the classifier"),
        ("llama_depth", Transformer("pre"), IDS, r"needs gated units \(SwiGLU and its kin\)"),
        ("olmo", nn.Linear(8, 2), ROWS, "needs residual branches with weights"),
        ("deepseek", Transformer("pre"), IDS, "needs a weight that chooses experts, and Transformer has none"),
        ("metaformer", nn.Linear(8, 2), ROWS, "needs residual branches with weights"),
        ("unet", ViT(), IMAGES, "needs a read-out that is a convolution, and ViT has none"),
        ("siren_network", nn.Linear(2, 2), PLACES, "needs sines that read weights, and Linear has none"),
        ("nerf", Transformer("pre"), IDS, "needs a weight that reads coordinates"),
        ("adapter", Transformer("pre"), IDS, "needs bottlenecks: branches of two weights, the first to fewer units"),
        ("prompt", Transformer("pre"), IDS, "needs tokens of their own that stand before the data's"),
        ("prefix", Transformer("pre"), IDS, "needs keys and values of their own that stand before the data's"),
        ("lstm", Recurrent(), torch.randn(3, 2, 8), r"needs a recurrent layer with gates \(LSTM, GRU\)"),
        ("icnr", Conv("norm"), IMAGES, "needs a weight whose output is shuffled into pixels"),
        ("mamba", Transformer("pre"), IDS, "needs the logarithm of a state's decay"),
        ("mamba2", Transformer("pre"), IDS, "needs the logarithm of a state's decay"),
        ("rwkv", Transformer("pre"), IDS, "needs gates by a sigmoid"),
        ("mimetic", nn.Linear(8, 2), ROWS, "needs attention, and Linear has none"),
        ("admin", Transformer("post"), IDS, "needs a factor on the stream of every residual sum"),
        ("pissa", nn.Linear(8, 2), ROWS, r"needs adapters beside loaded weights, W x \+ s · B A x"),
        ("olora", Transformer("pre"), IDS, r"needs adapters beside loaded weights, W x \+ s · B A x"),
        ("mup", nn.Linear(8, 2), None, "needs a read-out .* only a recorded pass shows: pass example_inputs"),
        ("deepnorm", nn.TransformerEncoderLayer(16, 2, batch_first=True), torch.randn(1, 3, 16), "needs attention"),
    ],
)
def test_a_model_that_lacks_what_a_recipe_needs_is_refused(recipe: str, model: Any, inputs: Any, message: str) -> None:
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(InputError, match=f"policy '{recipe}' {message}"):
        initlab.init_(model, recipe, example_inputs=inputs)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_recipe_asks_only_of_what_it_is_given() -> None:
    model = ActorCritic()
    plan = initlab.plan(model, ROWS, {"actor": "retinanet", "*": "auto"})
    assert plan["actor.bias"].law.mean == pytest.approx(-math.log(99))
    assert plan["critic.bias"].law.mean == 0


def test_the_numbers_of_a_recipe_can_be_set() -> None:
    plan = initlab.plan(ActorCritic(), ROWS, get_policy("ppo", policy=0.1))
    assert plan["actor.weight"].std == pytest.approx(0.1 / math.sqrt(D))
    with pytest.raises(InputError, match=r"unknown policy option 'polciy'; known: .*policy, value"):
        get_policy("ppo", polciy=0.1)


def test_irnn_keeps_the_state() -> None:
    model = Recurrent()
    initlab.init_(model, "irnn")
    assert torch.equal(model.rnn.weight_hh_l0, torch.eye(16))


def test_lora_keeps_all_but_the_adapter() -> None:
    model = Adapted()
    before = model.base.weight.detach().clone()
    plan = initlab.init_(model, "lora")
    assert torch.equal(model.base.weight, before)
    assert plan["base.weight"].code == "not_of_the_recipe"


def test_chrono_units_remember_up_to_the_longest_dependency() -> None:
    """b_f = log U(1, T − 1), so that exp(b_f) is uniform; b_i = −b_f; the other gates zero (equation 16)."""
    model = Gated()
    plan = initlab.init_(model, get_policy("lstm", longest=50.0))
    into, forget, rest = model.rnn.bias_ih_l0.detach().split([16, 16, 32])
    assert torch.equal(into, -forget)
    assert not rest.any()
    assert kstest(forget.exp().numpy(), "uniform", (1, 48)).pvalue > 1e-6
    assert plan["rnn.bias_ih_l0"].std == pytest.approx(float(Curved("log", 1.0, 49.0).second_moment / 2) ** 0.5)


def test_chrono_biases_of_a_gru_are_those_of_its_update_gate() -> None:
    model = Gated(nn.GRU)
    initlab.init_(model, "lstm")
    reset, update, new = model.rnn.bias_ih_l0.detach().split(16)
    assert not reset.any()
    assert not new.any()
    assert update.min() >= 0
    assert update.max() <= math.log(99)


def test_icnr_begins_as_a_nearest_neighbour_upsampling() -> None:
    """The pixels of one place are equal, whatever the image; the sub-kernel has the law that it would have alone."""
    model = SubPixel()
    plan = initlab.init_(model, "icnr", example_inputs=IMAGES)
    made = model(IMAGES).detach()
    place = made[..., ::2, ::2]
    assert all(torch.allclose(made[..., i::2, j::2], place, atol=1e-6) for i in (0, 1) for j in (0, 1))
    assert plan["up.weight"].std == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.01)
    assert within(model.up.weight.detach()[::4], plan["up.weight"].std)


def test_states_of_mamba_decay_as_published() -> None:
    model = StateSpaces(False)
    initlab.init_(model, "mamba", example_inputs=IDS)
    block = model.blocks[0]
    assert torch.allclose(block.log_decay.exp(), torch.arange(1.0, 5.0).expand(64, 4))
    assert kstest(F.softplus(block.step.bias).log().detach().numpy(), *log_uniform(0.001, 0.1)).pvalue > 1e-6


def test_heads_of_mamba2_decay_as_published() -> None:
    model = StateSpaces(True)
    initlab.init_(model, "mamba2", example_inputs=IDS)
    block = model.blocks[1]
    assert kstest(block.log_decay.exp().detach().numpy(), "uniform", (1, 15)).pvalue > 1e-6
    assert kstest(F.softplus(block.step_bias).log().detach().numpy(), *log_uniform(0.001, 0.1)).pvalue > 1e-6


def log_uniform(low: float, high: float) -> tuple[str, tuple[float, float]]:
    """The law of the logarithm, as `kstest` takes it."""
    return "uniform", (math.log(low), math.log(high / low))


def test_mimetic_products_are_an_identity_and_its_negative_with_noise() -> None:
    """W_Q W_Kᵀ = 0.7 Z + 0.7 I to each head's rank, W_V W_proj = 0.4 Z − 0.4 I (section 4)."""
    model = ViT()
    plan = initlab.init_(model, "mimetic", example_inputs=IMAGES, seed=3)
    for block in model.blocks:
        q, k, v, out = (getattr(block.attention, name).weight.detach() for name in ("q", "k", "v", "out"))
        noise = ((out @ v).T + 0.4 * torch.eye(D)) / 0.4
        assert within(noise, D**-0.5)
        for head in range(HEADS):
            rows = slice(head * D // HEADS, (head + 1) * D // HEADS)
            product = q[rows].T @ k[rows]
            assert torch.linalg.matrix_rank(product) == D // HEADS
            assert product.trace() / D > 0.35
        for name, weight in (("q", q), ("out", out)):
            assert plan[f"blocks.0.attention.{name}.weight"].std == pytest.approx(float(weight.std()), rel=0.1)
    assert not torch.equal(model.blocks[0].attention.q.weight, model.blocks[1].attention.q.weight)


class Packed(nn.Module):
    """Attention whose three maps are blocks of one weight, in an order of its own; the output added to the input."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order, self.qkv, self.out = order, nn.Linear(D, 3 * D), nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        blocks = self.qkv(x).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        parts = dict(zip(self.order, blocks, strict=True))
        made = F.scaled_dot_product_attention(parts["q"], parts["k"], parts["v"])
        return x + self.out(made.transpose(1, 2).reshape(x.shape))


class Interleaved(Packed):
    """Each head's three maps side by side."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).view(*x.shape[:2], HEADS, 3, -1).permute(3, 0, 2, 1, 4)
        return x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))


@pytest.mark.parametrize("order", ["qkv", "vkq", "torch"])
def test_mimetic_products_of_blocks_in_one_weight(order: str) -> None:
    whole = nn.TransformerEncoderLayer(D, HEADS, 2 * D, batch_first=True) if order == "torch" else Packed(order)
    plan = initlab.init_(whole, "mimetic", example_inputs=torch.randn(2, 5, D))
    packed, out = (whole.self_attn.in_proj_weight, whole.self_attn.out_proj.weight) if order == "torch" else (
        whole.qkv.weight, whole.out.weight
    )  # fmt: skip
    blocks = dict(zip("qkv" if order == "torch" else order, packed.detach().chunk(3), strict=True))
    assert within(((out.detach() @ blocks["v"]).T + 0.4 * torch.eye(D)) / 0.4, D**-0.5)
    for q, k in zip(blocks["q"].chunk(HEADS), blocks["k"].chunk(HEADS), strict=True):
        assert torch.linalg.matrix_rank(q.T @ k) == D // HEADS
        assert (q.T @ k).trace() / D > 0.35
    name = "self_attn.in_proj_weight" if order == "torch" else "qkv.weight"
    assert plan[name].std == pytest.approx(float(packed.detach().std()), rel=0.1)


def test_mimetic_refuses_maps_that_lie_interleaved() -> None:
    model = Interleaved("qkv")
    with pytest.raises(InputError, match="mimetic' needs square maps to queries, keys, values and of the output"):
        initlab.plan(model, torch.randn(2, 5, D), "mimetic")


def test_admin_scales_each_skip_by_what_was_added_before_it() -> None:
    """ω_i² = Var[x₀] + Σ_{j<i} Var[f_j(x_{j−1})], of a pass with ω = 1 (section 4.2), against hooks on the model."""
    model, found = Admin(), []
    plan = initlab.init_(model, "admin", example_inputs=IDS)
    omegas = [float(omega[0]) for omega in model.omega]
    with torch.no_grad():
        for omega in model.omega:
            omega.fill_(1.0)
    for layer in (*model.attention, *model.down):
        layer.register_forward_hook(lambda *seen: found.append(float(seen[-1].var(unbiased=False))))
    model(IDS)
    start = float(model.tokens(IDS).var(unbiased=False))
    expected = [1.0, *((start + sum(found[: i + 1])) ** 0.5 for i in range(5))]
    assert omegas == pytest.approx(expected, rel=5e-3)  # kept to three digits
    assert all((omega == omega[0]).all() for omega in model.omega)
    assert "as measured" in plan["omega.3"].reason


@pytest.mark.parametrize("recipe", ["pissa", "olora"])
def test_what_an_adapter_takes_from_the_loaded_weight_changes_no_output(recipe: str) -> None:
    model = LowRank().eval()
    loaded, before = model.old.weight.detach().clone(), model(WIDE).detach()
    plan = initlab.init_(model, recipe, example_inputs=WIDE, loaded=["old.weight", "old.bias"])
    assert torch.allclose(model(WIDE), before, atol=1e-5)
    assert not torch.equal(model.old.weight, loaded)
    assert plan["old.bias"].action == "keep"
    taken = 2 * model.b.weight @ model.a.weight
    assert torch.allclose(model.old.weight + taken, loaded, atol=1e-6)
    if recipe == "pissa":
        left, sizes, right = torch.linalg.svd(loaded, full_matrices=False)
        assert torch.allclose(taken, (left[:, :4] * sizes[:4]) @ right[:4], atol=1e-5)
        assert torch.allclose(model.b.weight.norm(dim=0), (sizes[:4] / 2).sqrt(), atol=1e-5)
    else:
        assert torch.allclose(model.b.weight.T @ model.b.weight, torch.eye(4), atol=1e-5)
        assert torch.allclose(model.b.weight @ model.a.weight[:, :4], loaded[:, :4], atol=1e-5)


def test_a_loaded_weight_whose_values_are_not_here_is_not_split() -> None:
    with torch.device("meta"):
        model = LowRank()
    with pytest.raises(InputError, match=r"policy 'pissa' needs loaded weights whose values are here"):
        initlab.plan(model, WIDE.to("meta"), "pissa")


class Placed(nn.Module):
    """Attention by hand, whose scores are shifted by numbers that a projection makes, before or after the products."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.query, self.key, self.value, self.shift = (nn.Linear(32, n) for n in (32, 32, 32, 12))
        self.first = first

    def forward(self, x: torch.Tensor) -> Any:
        shift, scores = self.shift(x), self.query(x) @ self.key(x).mT
        return ((shift + scores if self.first else scores + shift) / 32**0.5).softmax(-1) @ self.value(x)


@pytest.mark.parametrize("first", [False, True])
def test_queries_are_found_whatever_is_added_to_their_scores_first(first: bool) -> None:
    plan = initlab.plan(Placed(first), torch.zeros(2, 12, 32), "t5")
    assert plan["query.weight"].std == pytest.approx(1 / 32)
