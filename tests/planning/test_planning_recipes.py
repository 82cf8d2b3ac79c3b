"""Recipes against the numbers of their sources and the draws of their reference libraries, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from recipe_numbers import NUMBERS, within
from recipe_zoo import IDS, IMAGES, ROWS, ActorCritic, Adapted, Conv, D, Recurrent, Transformer, ViT
from recipe_zoo_2 import PLACES, Gated, StateSpaces, SubPixel
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
    build, inputs, expected = NUMBERS[recipe]
    model = build()
    plan = initlab.init_(model, recipe, example_inputs=inputs)
    values = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name, number in expected.items():
        if isinstance(number, tuple):
            assert values[name].unique().tolist() == [pytest.approx(number[0])], name
        else:
            assert plan[name].std == pytest.approx(number, rel=1e-4), name
            assert within(values[name], number), name


def test_every_recipe_has_its_numbers_tested() -> None:
    elsewhere = {"auto", "torch_default", "gan", "zero_gamma", "mup", "spectral", "completep", "u_mup"}
    assert set(NUMBERS) | elsewhere == set(list_policies())


# -- reference libraries: what they draw is what the recipe states --


def reference(name: str) -> tuple[nn.Module, Any]:
    transformers = pytest.importorskip("transformers")
    small: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "vocab_size": 100,
    }  # fmt: skip
    grouped = {**small, "num_key_value_heads": 2}
    t5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 100}
    made = {
        "gpt2": ("GPT2Config", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}, "GPT2LMHeadModel"),
        "llama": ("LlamaConfig", grouped, "LlamaForCausalLM"),
        "qwen": ("Qwen2Config", grouped, "Qwen2ForCausalLM"),
        "gemma": ("GemmaConfig", {**grouped, "head_dim": 16}, "GemmaForCausalLM"),
        "roberta": ("RobertaConfig", small, "RobertaModel"),
        "t5": ("T5Config", t5, "T5ForConditionalGeneration"),
    }
    config, settings, model = made[name]
    torch.manual_seed(0)
    built = getattr(transformers, model)(getattr(transformers, config)(**settings)).eval()
    ids = torch.arange(12).view(2, 6) + 2
    return built, {"input_ids": ids, "decoder_input_ids": ids} if name == "t5" else {"input_ids": ids}


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen", "gemma", "roberta", "t5"])
def test_the_reference_library_draws_what_the_recipe_states(name: str) -> None:
    """Every tensor of the library's own start within the exact interval of the law that the recipe gives it."""
    model, inputs = reference(name)
    plan = initlab.plan(model, inputs, name)
    drawn = {key: value.detach() for key, value in model.named_parameters()}
    checked = 0
    for entry in plan.entries:
        values = drawn[entry.name]
        if entry.std:
            row = getattr(model.get_submodule(entry.name.rpartition(".")[0]), "padding_idx", None)
            values = values if row is None else torch.cat([values[:row], values[row + 1 :]])
            std = entry.std if row is None else entry.std * math.sqrt(entry.shape[0] / (entry.shape[0] - 1))
            assert within(values, std), (entry, float(values.std()))
            checked += 1
        elif entry.law is not None:
            assert (values == entry.law.mean).all(), entry
    assert checked >= 8


# -- what a recipe needs --


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
        ("t5", nn.Linear(8, 2), ROWS, "needs attention with queries of their own"),
        ("deepnorm", Transformer("plain"), IDS, "needs the scale of a norm"),
        ("retinanet", ActorCritic(), ROWS, "needs one read-out, the classifier"),
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


# -- laws of recipes that are more than a std --


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
