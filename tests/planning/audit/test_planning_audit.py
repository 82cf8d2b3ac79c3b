"""`audit`: the scheme of every parameter, the faults that public repositories had, and nothing said of sound models."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_starts import GPT, TOKENS
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.planning.audit.structure import repeated_blocks, structure_of
from initlab.planning.memory.fitted import fit_law
from initlab.planning.named_streams.log import read_log


def _cut(sigmas: float, rng: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    z = rng.standard_normal(count * 4)
    return z[np.abs(z) < sigmas][:count]


LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray[Any, Any]]] = {
    "normal": lambda rng, n: 0.02 * rng.standard_normal(n),
    "uniform": lambda rng, n: rng.uniform(-0.3, 0.3, n),
    "truncated_normal": lambda rng, n: _cut(2.0, rng, n),
    "constant": lambda rng, n: np.full(n, 0.25),
    "": lambda rng, n: rng.laplace(size=n),
}


@pytest.mark.parametrize("family", LAWS)
@pytest.mark.parametrize("count", [1000, 20_000])
def test_the_law_is_told(family: str, count: int) -> None:
    found = [fit_law(LAWS[family](np.random.default_rng(seed), count)).family for seed in range(60)]
    # 59 of 60: a fit that is right 99 times in 100 misses two or more with a chance of one in eight.
    assert found.count(family) >= 58


def test_few_values_and_none_are_no_law() -> None:
    assert fit_law(np.empty(0)).family == ""
    assert fit_law(np.arange(5.0)).family == ""
    assert fit_law(np.zeros(1)).family == "constant"


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(40, 25, bias=False),
    "wide": lambda: nn.Linear(200, 100, bias=False),
    "conv": lambda: nn.Conv2d(8, 16, 3, bias=False),
    "bfloat16": lambda: nn.Linear(100, 60, bias=False, dtype=torch.bfloat16),
}
SAME = {"delta_orthogonal": "orthogonal"}  # of a matrix, without a kernel


@pytest.mark.parametrize("scheme", initlab.list_schemes())
def test_every_scheme_of_the_catalogue_is_named(scheme: str) -> None:
    missed, tried = [], 0
    for layer, build in LAYERS.items():
        for seed in range(5):
            net = nn.ModuleDict({"a": build()})
            initlab.init_(net, {"a.weight": scheme}, seed=seed)
            start, tried = initlab.audit(net)["a.weight"], tried + 1
            names = {name.partition("(")[0].partition(" ")[0] for name in (start.scheme, *start.also)}
            if not names & {scheme, SAME.get(scheme, scheme)}:
                missed.append((layer, seed, start.scheme))
    assert tried == 20
    assert missed == []


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda w: nn.init.normal_(w, std=0.02 / math.sqrt(24)), "normal(std=0.02/√(2·12))"),
        (lambda w: nn.init.normal_(w, std=0.02), "normal(std=0.02)"),
        (lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)), "torch_default (he_uniform, a=√5)"),
        (lambda w: nn.init.uniform_(w, -0.05, 0.05), "uniform(low=-0.05, high=0.05)"),
        (lambda w: nn.init.kaiming_normal_(w, mode="fan_out"), "he_normal(mode=fan_out)"),
        (lambda w: nn.init.trunc_normal_(w, std=0.02, a=-0.04, b=0.04), "trunc_normal_(std=0.02), cut at ±2 std"),
        (lambda w: nn.init.orthogonal_(w, gain=2.0), "orthogonal(gain=2)"),
        (lambda w: nn.init.constant_(w, 0.25), "constant(value=0.25)"),
        (nn.init.zeros_, "zeros"),
    ],
)
def test_a_start_is_named(draw: Callable[[torch.Tensor], Any], name: str) -> None:
    torch.manual_seed(2)
    net = nn.ModuleDict({"h": nn.ModuleList(nn.Linear(96, 224) for _ in range(12))})
    draw(net["h"][3].weight)
    start = initlab.audit(net)["h.3.weight"]
    assert name in (start.scheme, *start.also)
    assert 0 < start.sure <= 1


def test_the_default_of_torch_is_named_as_such_in_every_block() -> None:
    """1/√(3·32) = 0.102 is near the usual number 0.1, which no uniform law is written by."""
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Linear(32, 32) for _ in range(24)))
    weights = [start.scheme for start in initlab.audit(net).parameters if start.name.endswith("weight")]
    assert set(weights) == {"torch_default (he_uniform, a=√5)"}


SOUND: dict[str, Callable[[], nn.Module]] = {
    "nanoGPT": GPT,
    "nanoGPT, untied": lambda: GPT(tied=False),
    "torchtitan's depth": lambda: GPT(each=lambda i: i + 1.0),
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, groups=32),
        nn.ConvTranspose2d(32, 8, 3),
    ),
    "recurrent": lambda: nn.Sequential(nn.LSTM(30, 40, 2), nn.GRU(20, 30), nn.RNN(5, 9)),
    "attention": lambda: nn.MultiheadAttention(32, 4),
    "one encoder layer": lambda: nn.TransformerEncoderLayer(32, 4, 64),
    "embedding": lambda: nn.Sequential(nn.Embedding(50, 16, padding_idx=3), nn.Linear(16, 50)),
    "bfloat16": lambda: GPT().bfloat16(),
    "prelu": lambda: nn.Sequential(nn.Linear(20, 20), nn.PReLU(20), nn.GroupNorm(4, 20)),
}


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_is_found_in_a_sound_model(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    net = SOUND[name]()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert initlab.audit(net).findings == ()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_the_recording_changes_nothing_for_a_sound_model() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert initlab.audit(GPT(), example_inputs=TOKENS).findings == ()
    assert not torch.equal(torch.get_rng_state(), state)  # building drew; the audit:
    state = torch.get_rng_state()
    net = GPT()
    state = torch.get_rng_state()
    initlab.audit(net, example_inputs=TOKENS)
    assert torch.equal(torch.get_rng_state(), state)


class _Lost(nn.Module):
    """Its parameters are left as memory was."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.full((20, 30), 3e22))


def _replaced() -> nn.Module:
    net = GPT(tied=False)
    net.lm_head = nn.Linear(64, 97, bias=False)
    return net


def _one_seed() -> nn.Module:
    net = GPT()
    for block in net.h:
        for p in (block.mlp["c_fc"].weight, block.attn["c_attn"].weight):
            torch.manual_seed(7)
            nn.init.normal_(p, std=0.02)
    return net


def _shards() -> nn.Module:
    net = GPT()
    for block in net.h:
        shard = torch.empty(64, 64).normal_(0, 0.02)
        block.mlp["c_fc"].weight.data.copy_(shard.repeat(4, 1))
    return net


def _norm() -> nn.Module:
    net = GPT()
    for p in (net.h[2].ln_1.weight, net.h[2].ln_1.bias):
        nn.init.normal_(p, 0.0, 0.02)
    return net


def _padded() -> nn.Module:
    net = nn.Sequential(nn.Embedding(50, 16, padding_idx=3), nn.Linear(16, 50))
    nn.init.normal_(net[0].weight, std=0.02)
    return net


def _with(net: nn.Module, name: str, value: float) -> nn.Module:
    net.get_parameter(name).data.view(-1)[5] = value
    return net


FAULTS: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "scale on the wrong projection": (lambda: GPT(ends=("c_fc.weight", "c_attn.weight")), "residual scale", "h.0."),
    "depth counted one short": (lambda: GPT(8, counted=7), "depth", "h.0"),
    "depth counted one too far": (lambda: GPT(8, counted=9), "depth", "h.0"),
    "depth from zero, layer by layer": (lambda: GPT(each=lambda i: float(i) if i else math.inf), "depth", "h.0"),
    "depth from two, layer by layer": (lambda: GPT(each=lambda i: i + 2.0), "depth", "h.0"),
    "a layer replaced afterwards": (_replaced, "missed", "lm_head.weight"),
    "a class that is missed": (lambda: GPT(tied=False, skip=nn.Embedding), "missed", "w"),
    "a tied table at std 1": (lambda: GPT(embedding_std=1.0), "tied embedding", "wte.weight"),
    "one seed": (_one_seed, "same seed", "h.0."),
    "equal shards": (_shards, "repeated blocks", "h.0.mlp.c_fc.weight"),
    "norms redrawn": (_norm, "norm not identity", "h.2.ln_1.weight"),
    "padding drawn": (_padded, "padding", "0.weight"),
    "memory as it was": (lambda: nn.Sequential(nn.Linear(9, 9), _Lost()), "not initialised", "1.w"),
    "nan": (lambda: _with(GPT(), "h.1.mlp.c_fc.weight", math.nan), "non-finite", "h.1.mlp.c_fc.weight"),
    "zeros among drawn": (lambda: _zeroed("h.3.mlp.c_fc.weight"), "not initialised", "h.3.mlp.c_fc.weight"),
    "deep copies": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64), 3, enable_nested_tensor=False),
        "equal",
        "layers.0",
    ),
    "torch's own transformer": (lambda: nn.Sequential(nn.Linear(20, 20), *_copies()), "equal", "1."),
}


def _zeroed(name: str) -> nn.Module:
    net = GPT()
    net.get_parameter(name).data.zero_()
    return net


def _copies() -> list[nn.Module]:
    layer = nn.Linear(20, 30)
    other = nn.Linear(20, 30)
    other.load_state_dict(layer.state_dict())
    return [layer, other]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_planted_fault_is_found(fault: str, seed: int) -> None:
    torch.manual_seed(seed)
    build, kind, where = FAULTS[fault]
    findings = initlab.audit(build()).findings
    assert any(finding.kind == kind and finding.where.startswith(where) for finding in findings), findings
    also = {"equal"} if kind == "same seed" else set()  # of one shape they are equal
    assert {finding.kind for finding in findings} == {kind} | also


def test_a_frozen_copy_of_what_is_trained_is_no_fault() -> None:
    online = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 8))
    target = copy.deepcopy(online).requires_grad_(False)
    assert initlab.audit(nn.ModuleDict({"online": online, "target": target})).findings == ()
    target.requires_grad_(True)
    assert [f.kind for f in initlab.audit(nn.ModuleDict({"online": online, "target": target})).findings] == ["equal"]


def test_equal_biases_beside_weights_that_differ_are_no_fault() -> None:
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64), 2, enable_nested_tensor=False)
    for p in net.parameters():
        if p.ndim > 1:
            nn.init.xavier_uniform_(p)
    assert [f for f in initlab.audit(net).findings if f.kind == "equal"] == []


def test_a_policy_a_plan_and_a_scheme_are_references() -> None:
    net = GPT()
    initlab.init_(net, "he_normal", seed=1)
    assert initlab.audit(net, "he_normal").differences == ()
    assert initlab.audit(net, initlab.plan(net, policy="he_normal")).differences == ()
    audit = initlab.audit(net, "xavier_normal")
    assert {d.name for d in audit.differences} >= {"h.0.mlp.c_fc.weight", "h.0.attn.c_attn.weight"}
    assert audit.findings[0].kind == "differs"
    assert "std" in str(audit.differences[0])


@pytest.mark.parametrize("cut", [0.04, 2.0])
def test_a_cut_at_two_and_not_at_two_std_is_told_from_the_reference(cut: float) -> None:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(200, 200))
    nn.init.trunc_normal_(net[0].weight, std=0.02, a=-cut, b=cut)
    nn.init.zeros_(net[0].bias)
    std = 0.02 * (0.8796 if cut < 1 else 1.0)
    reference = initlab.get_scheme("truncated_normal", std=std)
    found = [d.what for d in initlab.audit(net, {"0.weight": reference}).differences]
    assert found == ([] if cut < 1 else ["law"])


@pytest.mark.parametrize("order", [("table", "head"), ("head", "table")])
def test_a_tied_weight_is_found_in_the_reference_by_any_of_its_names(order: tuple[str, str]) -> None:
    def tied(*names: str) -> nn.Module:
        torch.manual_seed(0)
        model, layers = nn.Module(), {"table": nn.Embedding(40, 8), "head": nn.Linear(8, 40, bias=False)}
        layers["head"].weight = layers["table"].weight
        for name in names:
            model.add_module(name, layers[name])
        return model

    assert initlab.audit(tied("table", "head"), tied(*order)).differences == ()


def test_another_model_is_a_reference_for_laws() -> None:
    torch.manual_seed(0)
    assert initlab.audit(GPT(), GPT()).differences == ()
    found = {d.name for d in initlab.audit(GPT(ends=()), GPT()).differences}
    assert found == {f"h.{i}.{leaf}.weight" for i in range(6) for leaf in ("attn.c_proj", "mlp.c_proj")}
    assert {d.what for d in initlab.audit(GPT(3), GPT(4)).differences} >= {"missing", "std"}


def test_a_checkpoint_shows_what_was_drawn_again_after_loading(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = GPT()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    torch.save(state, tmp_path / "model.pt")
    assert initlab.audit(net, state).differences == ()
    nn.init.normal_(net.h[1].mlp["c_fc"].weight, std=0.02)
    for reference in (state, tmp_path / "model.pt", str(tmp_path / "model.pt")):
        audit = initlab.audit(net, reference)
        assert [(d.name, d.what) for d in audit.differences] == [("h.1.mlp.c_fc.weight", "values")]
        assert [(f.kind, f.where) for f in audit.findings] == [
            ("re-initialised", "h.1.mlp.c_fc.weight"),
            ("differs", "h.1.mlp.c_fc.weight"),
        ]


def test_a_log_shows_what_was_called(tmp_path: Path) -> None:
    net = nn.ModuleDict({"a": nn.Linear(40, 40), "b": nn.Linear(40, 40), "c": nn.Linear(40, 40)})
    with initlab.streams(net) as log:
        nn.init.normal_(net["a"].weight)
        nn.init.zeros_(net["a"].weight)
        nn.init.trunc_normal_(net["b"].weight, std=0.02)
        nn.init.normal_(net["c"].weight)
        nn.init.normal_(net["c"].weight, std=0.02)
        for layer in net.values():
            nn.init.zeros_(layer.bias) if layer is not net["c"] else None
    found = {(f.kind, f.where) for f in initlab.audit(net, log).findings}
    assert found == {
        ("overwritten", "a.weight"),
        ("cut", "b.weight"),
        ("drawn twice", "c.weight"),
        ("missed", "c.bias"),
    }
    read = read_log(log.save(tmp_path / "log.json"))
    assert {(f.kind, f.where) for f in initlab.audit(net, read).findings} == found
    nn.init.normal_(net["b"].weight)
    assert [d.name for d in initlab.audit(net, log).differences] == ["b.weight"]


def test_a_cut_that_is_given_as_a_tensor_is_not_read_as_a_number() -> None:
    """The audit read it out of the log's words, and ended in a ValueError."""
    net = nn.Linear(40, 40)
    with initlab.streams(net) as log:
        nn.init.trunc_normal_(net.weight, std=torch.tensor(0.02))
        nn.init.zeros_(net.bias)
    assert log["weight"].calls == ("trunc_normal(0, …, -2, 2)",)
    assert not initlab.audit(net, log).findings


def test_structure_is_told_from_chance() -> None:
    torch.manual_seed(0)
    w = torch.empty(12, 30)
    assert structure_of(nn.init.normal_(w), None).family == ""
    assert structure_of(nn.init.orthogonal_(w), None).family == "orthogonal"
    assert structure_of(nn.init.eye_(w), None).family == "identity"
    assert structure_of(nn.init.sparse_(w, 0.3), None).family == "sparse"
    assert structure_of(torch.zeros(4, 4), None).family == ""
    assert repeated_blocks(torch.randn(8, 16).repeat(1, 2)) == (1, 2)
    assert repeated_blocks(torch.randn(16, 16)) is None
    assert repeated_blocks(torch.ones(16, 16)) is None


def test_an_audit_shows_and_saves_itself(tmp_path: Path) -> None:
    audit = initlab.audit(_norm(), GPT())
    assert "norm not identity at h.2.ln_1.weight" in repr(audit)
    assert max(map(len, initlab.audit(nn.Linear(3, 3)).text(40).split("\n"))) <= 40
    page = audit.save(tmp_path / "audit.html").read_text()
    assert "norm not identity" in page
    assert "Differences" in page
    data = json.loads(audit.save(tmp_path / "audit.json").read_text())
    assert {f["kind"] for f in data["findings"]} == {f.kind for f in audit.findings}
    assert audit.to_frame().loc["h.0.mlp.c_fc.weight", "scheme"] == "normal(std=0.02)"
    assert audit["lm_head.weight"].name == "wte.weight"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model must be a torch.nn.Module"),
        ({"reference": "he_norml"}, "did you mean 'he_normal'"),
        ({"reference": 3}, "policy must be a name"),
        ({"reference": {"nothing.weight": "zeros"}}, "matches no parameter"),
        ({"reference": "/nowhere/model.pt"}, "model.pt"),
        ({"example_inputs": torch.zeros(3, 3)}, "wte"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        initlab.audit(**{"model": GPT(1, 16), **arguments})


def test_a_model_without_values_is_said() -> None:
    with torch.device("meta"):
        net = nn.Linear(30, 40)
    assert "2 parameters have no values" in initlab.audit(net).notes[0]
