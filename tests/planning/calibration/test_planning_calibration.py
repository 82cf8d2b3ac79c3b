"""The calibrating pass: what it measures, what it corrects, and what it leaves alone; deliberate starts are kept."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from tokens import IDS, Branch, Tokens, batch
from torch import nn

import initlab
from initlab.graph import record
from initlab.planning.calibration import stand_ins
from initlab.planning.calibration.measuring import misses, second_moment
from initlab.planning.calibration.read_outs import head_factor
from initlab.planning.sizes.plain import LEAST
from initlab.planning.view import chain_figure

F = nn.functional


def test_first_loss_is_near_that_of_a_uniform_guess() -> None:
    model = Tokens()
    initlab.init_(model, example_inputs=IDS)
    loss = F.cross_entropy(model(IDS).flatten(0, 1), IDS.roll(1, 1).flatten())
    assert loss.item() == pytest.approx(math.log(100), rel=0.05)


def test_positions_and_branches_get_their_share_of_the_tokens() -> None:
    model = Tokens()
    initlab.init_(model, example_inputs=IDS)
    tokens, stream = model.tokens(IDS).square().mean(), model.stream(IDS)
    assert model.positions.weight.square().mean().item() == pytest.approx(0.25 * tokens.item(), rel=0.2)
    made = (model.blocks[0](stream) - stream).square().mean()
    assert made.item() == pytest.approx(stream.square().mean().item() / 2, rel=0.2)


class Joined(nn.Module):
    """A branch that the stream is added to, into the branch's own memory or not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place, self.norm = in_place, nn.LayerNorm(256)
        self.first, self.down, self.middle = nn.Linear(64, 256), nn.Linear(256, 256), nn.Linear(256, 256)
        self.head = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.first(x)
        branch = self.down(F.gelu(self.norm(x)))
        if self.in_place:
            branch.add_(x)
        else:
            branch = branch + x
        return self.head(F.relu(self.middle(branch)))


def test_a_sum_written_into_the_branch_is_measured_as_any_other() -> None:
    one, other = (initlab.plan(Joined(in_place), batch(256, 64)) for in_place in (True, False))
    assert [entry.std for entry in one.entries] == [entry.std for entry in other.entries]


def test_a_measured_std_is_a_number_of_the_plan() -> None:
    plan, again = initlab.plan(Tokens(), IDS), initlab.plan(Tokens(), IDS)
    assert [entry.std for entry in plan.entries] == [entry.std for entry in again.entries]
    entry = plan["positions.weight"]
    assert entry.correction < 1
    assert "a share of what it is added to" in plan.explain("positions.weight")
    one, other = Tokens(), Tokens()
    initlab.init_(one, plan, seed=3)
    initlab.init_(other, again, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_planning_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 10))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state, flags = torch.get_rng_state(), [module.training for module in model.modules()]
    initlab.plan(model, batch(4, 3, 8, 8))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert flags == [module.training for module in model.modules()]


def test_an_input_far_from_unit_size_is_seen() -> None:
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    entry = initlab.plan(model, 0.01 * batch(256, 64))["0.weight"]
    assert entry.std == pytest.approx(100 / 8 / math.sqrt(3), rel=0.1)
    assert "measured" in entry.reason


def test_what_the_policy_names_is_not_corrected() -> None:
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    plan = initlab.plan(model, 0.01 * batch(256, 64), {"0.weight": "he_normal"})
    assert plan["0.weight"].std == pytest.approx(math.sqrt(2 / 64))


class Squeeze(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.reduce, self.expand = nn.Conv2d(3, 64, 3), nn.Conv2d(64, 32, 1), nn.Conv2d(32, 64, 1)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> Any:
        x = F.relu(self.stem(x))
        self.reduced = self.reduce(x.mean((2, 3), keepdim=True))
        x = x * torch.sigmoid(self.expand(F.relu(self.reduced)))
        return self.head(x.amax((2, 3)))


def test_squeeze_and_excite_and_pooling_are_measured() -> None:
    model, x = Squeeze(), batch(32, 3, 12, 12)
    initlab.init_(model, example_inputs=x)
    out = model(x)
    assert 0.5 < model.reduced.square().mean().item() < 2
    loss = torch.logsumexp(out, -1).mean() - out.mean()
    assert loss.item() == pytest.approx(math.log(10), rel=0.05)


class Curved(nn.Module):
    def __init__(self, factor: Any) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 256), nn.Linear(256, 10)
        self.trained = nn.Parameter(factor) if isinstance(factor, torch.Tensor) and factor.dim() else None
        self.register_buffer("held", factor if isinstance(factor, torch.Tensor) else None)
        self.number = None if isinstance(factor, torch.Tensor) else factor

    def forward(self, x: torch.Tensor) -> Any:
        factor = next(one for one in (self.trained, self.held, self.number) if one is not None)
        return self.last(torch.tanh(factor * self.first(x)))


@pytest.mark.parametrize(
    ("factor", "second"),
    [(30, 1.0), (torch.tensor(30.0), 1.0), (torch.tensor([30.0]), LEAST)],
    ids=["number", "buffer", "trained, as in a plain network"],
)
def test_a_constant_inside_a_function_counts(factor: Any, second: float) -> None:
    std = initlab.plan(Curved(factor), batch(256, 64))["first.weight"].std
    assert std == pytest.approx(math.sqrt(second) / (30 * 8), rel=0.05)


class Scale(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.first, self.last = kind, nn.Linear(16, 16), nn.Linear(16, 4)
        self.w = nn.Parameter(torch.full((16,), 0.3))

    def forward(self, x: torch.Tensor) -> Any:
        h = self.first(x)
        if self.kind == "added":
            return self.last(h + h * self.w)
        h = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 1e-6)
        scale = {"1 + w": lambda w: 1 + w, "exp": torch.exp, "softplus": F.softplus, "w": lambda w: w}[self.kind]
        return self.last(h * scale(self.w))


@pytest.mark.parametrize(
    ("kind", "value"), [("1 + w", 0.0), ("exp", 0.0), ("softplus", math.log(math.e - 1)), ("w", 1.0), ("added", 0.0)]
)
def test_a_scale_starts_where_it_is_one(kind: str, value: float) -> None:
    model = Scale(kind)
    initlab.init_(model, example_inputs=batch(32, 16))
    assert model.w.detach().numpy() == pytest.approx(value, abs=1e-5)


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step, self.value, self.router, self.last = (nn.Linear(16, n) for n in (8, 8, 8, 4))
        nn.init.zeros_(self.router.weight)
        with torch.no_grad():
            self.step.bias.copy_(torch.linspace(-7, -2, 8))
        self.decay = nn.Parameter(torch.arange(1.0, 9.0).log())

    def forward(self, x: torch.Tensor) -> Any:
        step = F.softplus(self.step(x))
        kept = torch.exp(-step * torch.exp(self.decay))
        return self.last(torch.cat([kept * self.value(x), self.router(x).softmax(-1)], -1))


def test_deliberate_starts_are_kept_and_said() -> None:
    model, x = Gate(), batch(32, 16)
    model.last = nn.Linear(16, 4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plan = initlab.init_(model, example_inputs=x)
    for name, code in {"step.bias": "special_bias", "router.weight": "zero_on_purpose", "decay": "pattern"}.items():
        assert torch.equal(before[name], model.state_dict()[name])
        assert plan[name].reason.code == code
    assert not any(entry.reason.code == "unknown_role" for entry in plan.entries)


def test_a_model_of_zeros_is_drawn() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    initlab.init_(model, example_inputs=batch(8, 16))
    assert all(layer.weight.any() for layer in (model[0], model[2]))


def _mixture() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers  # lazy: heavy, and only two tests want it
    transformers.logging.set_verbosity_error()
    config = transformers.MixtralConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=64, num_local_experts=4,
    )  # fmt: skip
    return transformers.MixtralForCausalLM(config)


def test_a_mixture_of_experts_is_planned() -> None:
    plan = initlab.plan(_mixture(), IDS % 64)
    experts = [entry for entry in plan.entries if "experts" in entry.name]
    assert experts
    assert all(entry.action == "write" for entry in experts)
    assert not any(entry.reason.code == "unknown_role" for entry in plan.entries)


def test_a_read_out_is_only_made_smaller() -> None:
    logits = batch(512, 10)
    assert head_factor(logits / 100, -1, 0.025) == 1.0
    factor = head_factor(3 * logits, -1, 0.025)
    found = torch.logsumexp(3 * factor * logits, -1).mean() - (3 * factor * logits).mean()
    assert found.item() == pytest.approx(1.025 * math.log(10), rel=1e-3)


def test_answers_of_pixels_are_judged_by_the_whole_picture() -> None:
    """Their borders say little, and every 32nd of them is one."""
    drawn = torch.Generator().manual_seed(0)
    logits = torch.zeros(16, 4, 32, 32)
    logits[..., 8:24] = 3 * torch.randn(16, 4, 32, 16, generator=drawn)
    labels = torch.randint(4, (16, 32, 32), generator=drawn)
    loss = F.cross_entropy(head_factor(logits, 1, 0.025) * logits, labels)
    assert loss.item() == pytest.approx(math.log(4), rel=0.05)


def test_what_one_draw_explains_is_no_miss() -> None:
    assert not misses(1.5, drawn=16)
    assert misses(1.5, drawn=4096)
    assert misses(0.1, drawn=64)


class Relative(nn.Module):
    """Attention with a table of biases by relative position, read by index."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 8)
        self.table = nn.Parameter(std * batch(15, 4))
        self.register_buffer("index", torch.arange(8)[:, None] - torch.arange(8) + 7)

    def forward(self, x: torch.Tensor) -> Any:
        q, k, v = self.qkv(x).view(-1, 8, 3, 4, 8).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.view(-1)].view(8, 8, 4).permute(2, 0, 1)
        shares = (q @ k.transpose(2, 3) / math.sqrt(8) + bias).softmax(-1)
        return self.out((shares @ v).transpose(1, 2).reshape(-1, 8, 32))


@pytest.mark.parametrize(("std", "planned"), [(0.0, 0.0), (0.02, 0.02)])
def test_a_table_of_relative_positions_begins_small(std: float, planned: float) -> None:
    assert initlab.plan(Relative(std), batch(4, 8, 32))["table"].std == pytest.approx(planned, rel=0.3)


class Mixed(nn.Module):
    """A small matrix that mixes attention heads after the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.mix, self.out = nn.Linear(32, 96), nn.Linear(4, 4, bias=False), nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> Any:
        q, k, v = self.qkv(x).view(-1, 8, 3, 4, 8).permute(2, 0, 3, 1, 4)
        shares = (q @ k.transpose(2, 3) / math.sqrt(8)).softmax(-1)
        shares = self.mix(shares.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.out((shares @ v).transpose(1, 2).reshape(-1, 8, 32))


class Patches(nn.Module):
    """Numbers of the data beside places that a table holds, read by a buffer, as SigLIP's and CLIP's patches."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.places = nn.Linear(12, 32), nn.Embedding(16, 32)
        self.blocks, self.read = nn.Sequential(Branch(), Branch()), nn.Linear(32, 10)
        self.register_buffer("numbers", torch.arange(16)[None])

    def forward(self, x: torch.Tensor) -> Any:
        return self.read(self.blocks(self.embed(x) + self.places(self.numbers)).mean(1))


def test_places_beside_numbers_are_a_share_of_them() -> None:
    plan = initlab.plan(Patches(), batch(16, 16, 12))
    assert plan["places.weight"].std == pytest.approx(1, rel=0.1)  # of second moment one, as large as they are


class Attending(nn.Module):
    """Attention whose scores are multiplied by a number, where the softmax stands alone or in the fused call."""

    def __init__(self, scale: float, fused: bool) -> None:
        super().__init__()
        self.scale, self.fused = scale, fused
        self.q, self.k, self.v, self.out = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 8)

    def forward(self, x: torch.Tensor) -> Any:
        q, k, v = (layer(x).view(-1, 8, 4, 16).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if self.fused:
            made = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        else:
            made = ((q @ k.transpose(2, 3)) * self.scale + torch.zeros(8, 8)).softmax(-1) @ v
        return self.out(made.transpose(1, 2).reshape(-1, 8, 64))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("scale", "std"), [(1.0, 0.125 / 4), (0.25, 0.125), (1 / 16, 0.125)])
def test_attention_scores_are_no_larger_than_of_unit_variance(scale: float, std: float, fused: bool) -> None:
    """Queries and keys of 16 numbers of unit variance make scores of std 4, unless they are divided."""
    plan = initlab.plan(Attending(scale, fused), batch(16, 8, 64))
    assert plan["q.weight"].std == pytest.approx(std, rel=0.15)
    assert plan["k.weight"].std == pytest.approx(0.125, rel=0.15)


class NormedQueries(Attending):
    """Queries and keys brought to unit size, by a norm written in arithmetic, and not divided by √d."""

    def __init__(self, fused: bool) -> None:
        super().__init__(1.0, fused)

    def forward(self, x: torch.Tensor) -> Any:
        q, k, v = (layer(x).view(-1, 8, 4, 16).transpose(1, 2) for layer in (self.q, self.k, self.v))
        q, k = (part * torch.rsqrt(part.pow(2).mean(-1, keepdim=True) + 1e-6) for part in (q, k))
        if self.fused:
            made = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        else:
            made = (q @ k.transpose(2, 3)).softmax(-1) @ v
        return self.out(made.transpose(1, 2).reshape(-1, 8, 64))


@pytest.mark.parametrize("fused", [False, True])
def test_scores_of_normed_queries_make_no_weight_smaller(fused: bool) -> None:
    plan = initlab.plan(NormedQueries(fused), batch(16, 8, 64))
    assert plan["q.weight"].std == plan["k.weight"].std == pytest.approx(0.125 * math.sqrt(0.6), rel=0.15)


def test_heads_are_mixed_by_the_identity() -> None:
    model = Mixed()
    initlab.init_(model, example_inputs=batch(4, 8, 32))
    assert torch.equal(model.mix.weight, torch.eye(4))


class Scaled(Tokens):
    """A tied head that reads the hidden state times d^-1/2, and none of the positions."""

    def forward(self, ids: torch.Tensor) -> Any:
        return self.head(self.norm(self.blocks(self.tokens(ids))) * 32**-0.5)


class WrittenOut(nn.Module):
    """T5's norm, in arithmetic."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


@pytest.mark.parametrize("norm", [nn.LayerNorm(32), WrittenOut()])
def test_a_constant_before_a_tied_head_counts(norm: nn.Module) -> None:
    model = Scaled()
    model.norm = norm
    plan = initlab.init_(model, example_inputs=IDS)
    assert 0.4 < plan["tokens.weight"].std <= 1.0  # type: ignore[operator]
    assert float(model(IDS).detach().var(-1).mean()) == pytest.approx(1.0, rel=0.2)


class Written(nn.Module):
    """A state written by index in a loop, bool and float under one `where`, a mask filled in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> Any:
        state, h = torch.zeros(len(x), 4, 8), self.first(x)
        for i in range(4):
            state[:, i] = torch.tanh(h * (i + 1) + state[:, i - 1])
        mask = state > 0
        made = torch.where(mask, 1.0, state).masked_fill_(mask, 0.5)
        return self.last((made + torch.where(mask, mask, mask).float()).mean(1))


def test_a_state_written_by_index_is_planned() -> None:
    plan = initlab.plan(Written(), batch(32, 8))
    assert plan.counts == {"write": 4, "keep": 0, "refuse": 0}
    assert not any("not measured" in warning for warning in plan.warnings)


def test_drawn_weights_that_are_let_go_are_drawn_again_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass holds few drawn weights at a time; what is used again comes back with its correction."""
    torch.manual_seed(0)
    tokens = torch.randint(0, 50, (4, 12))
    table, shared = nn.Embedding(50, 32), nn.Linear(32, 32)
    net = nn.Sequential(table, shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 50))
    net[7].weight = table.weight
    whole = initlab.plan(net, tokens).to_frame()
    monkeypatch.setattr(stand_ins, "HELD", 1)
    assert initlab.plan(net, tokens).to_frame().equals(whole)


class TwoHeads(nn.Module):
    """Two read-outs whose logits are averaged, as distilled transformers have."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.one, self.other = nn.Linear(32, 64), nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.body(x))
        return (self.one(x) + self.other(x)) / 2


def test_averaged_read_outs_are_read_outs() -> None:
    net, x = TwoHeads(), torch.randn(64, 32)
    plan = initlab.init_(net, "auto", example_inputs=x)
    logits = net(x)
    assert "read-out" in plan["one.weight"].reason
    assert "read-out" in plan["other.weight"].reason
    assert (logits.logsumexp(-1) - logits.mean(-1)).mean() <= 1.05 * math.log(10)


class ScaledTable(nn.Module):
    """Rows of an untied table multiplied by √d before the first block, as in Transformer (2017) and Pegasus."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.table, self.norm, self.head = nn.Embedding(50, 64), nn.LayerNorm(64), nn.Linear(64, 50)
        self.up, self.down = nn.Linear(64, 64), nn.Linear(64, 64)
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens) * self.scale
        return self.head(x + self.down(torch.relu(self.up(self.norm(x)))))


@pytest.mark.parametrize("scale", [1.0, 8.0, 0.25])
def test_a_constant_after_a_table_counts(scale: float) -> None:
    plan = initlab.plan(ScaledTable(scale), torch.randint(0, 50, (8, 16)))
    assert plan["table.weight"].std == pytest.approx(1 / scale, rel=0.05)


def test_the_plan_says_what_is_derived_what_is_measured_and_by_how_much() -> None:
    plan = initlab.plan(Squeeze(), torch.randn(8, 3, 8, 8))
    frame = plan.to_frame()
    corrected = [entry for entry in plan.entries if entry.correction != 1 and entry.measured]
    layers = [layer for _ in range(3) for layer in (nn.Linear(64, 64), nn.ReLU())]
    deep = initlab.plan(nn.Sequential(*layers, nn.Linear(64, 10)), batch(256, 64))
    assert {entry.known for entry in deep.entries if entry.std} == {"both", "measured"}
    assert list(frame.loc[corrected[0].name, ["measured", "target"]]) == list(corrected[0].measured or ())
    assert "is to have" in plan.explain(corrected[0].name)
    assert "corrected: the derived std" in plan.explain(corrected[0].name)


def test_the_page_draws_predicted_beside_measured(tmp_path: Any) -> None:
    plan = initlab.plan(Squeeze(), torch.randn(8, 3, 8, 8))
    text = plan.save(tmp_path / "plan.html").read_text(encoding="utf-8")
    assert "Predicted beside measured" in text
    assert "outputs measured within 20% of their target" in text
    assert chain_figure(initlab.plan(nn.Linear(3, 2))) is None


def test_a_law_that_was_asked_for_is_measured_and_left_alone() -> None:
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.LayerNorm(64))
    asked = initlab.plan(net, torch.randn(256, 64), {"2.weight": initlab.get_scheme("normal", std=1.0), "*": "auto"})
    second, target = asked["2.weight"].measured or (0.0, 0.0)
    assert second > 10 * target
    assert (asked["2.weight"].std, asked["2.weight"].correction) == (1.0, 1.0)


class ScaledLogits(nn.Module):
    """Logits times what a model holds, and what it returns of them."""

    def __init__(self, ending: str) -> None:
        super().__init__()
        self.body, self.head, self.ending = nn.Linear(16, 64), nn.Linear(64, 50, bias=False), ending
        self.scale = nn.Parameter(torch.full((50,), 8.0))

    def forward(self, x: torch.Tensor) -> Any:
        logits = self.head(torch.relu(self.body(x)))
        ends = {
            "number": lambda: 20 * logits,
            "trained": lambda: logits * self.scale,
            "both, then log_softmax": lambda: F.log_softmax(2 * logits * self.scale, -1),
            "in a dict, flat": lambda: {"logits": (12 * logits).view(-1, 50)},
            "capped": lambda: 30 * torch.tanh(logits / 30),
        }
        return ends[self.ending]()


@pytest.mark.parametrize("ending", ["number", "trained", "both, then log_softmax", "in a dict, flat", "capped"])
def test_a_read_out_is_judged_by_the_logits_that_the_loss_reads(ending: str) -> None:
    model, x = ScaledLogits(ending), batch(512, 16)
    initlab.init_(model, example_inputs=x)
    out = model(x)["logits"] if ending == "in a dict, flat" else model(x)
    excess = float((torch.logsumexp(out, -1) - out.mean(-1)).mean().detach()) / math.log(50) - 1
    assert 0.002 < excess < 0.05


NARROW: dict[str, tuple[nn.Module, torch.Tensor]] = {
    "linear": (nn.Linear(48, 4, bias=False), 1 + batch(16, 5, 48)),
    "convolution, padded": (nn.Conv2d(6, 4, 3, stride=2, padding=1, bias=False), 1 + batch(4, 6, 9, 9)),
    "in groups": (nn.Conv1d(6, 6, 5, groups=3, bias=False), 1 + batch(8, 6, 12)),
}


@pytest.mark.parametrize("case", NARROW)
def test_what_a_narrow_layer_makes_is_said_of_all_its_draws(case: str) -> None:
    """One draw of four units spreads by 70% where inputs agree; the plan says the mean, which 4,000 draws show."""
    layer, x = NARROW[case]
    entry = initlab.plan(nn.Sequential(layer, nn.Flatten()), x)["0.weight"]
    assert entry.measured is not None
    assert entry.std is not None
    derived = entry.std / entry.correction
    torch.manual_seed(0)
    draws = torch.stack([(_with(layer, derived)(x)).square().mean() for _ in range(4000)])
    spread = draws.std().item() / math.sqrt(len(draws))
    assert entry.measured[0] == pytest.approx(draws.mean().item(), abs=4 * spread + 0.03 * entry.measured[0])


def _with(layer: nn.Module, std: float) -> nn.Module:
    with torch.no_grad():
        layer.weight.normal_(0, std)  # type: ignore[union-attr, operator]
    return layer.requires_grad_(False)


class Standardised(nn.Conv2d):
    """A convolution whose weight is normalised before it is applied: its std sets no size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = F.layer_norm(self.weight, self.weight.shape[1:])
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def test_a_bias_is_not_taken_for_the_weight_of_a_layer_that_makes_its_own() -> None:
    plan = initlab.plan(nn.Sequential(Standardised(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3)), batch(4, 3, 12, 12))
    assert plan["0.bias"].measured is None
    assert plan["2.weight"].measured is not None


class LogScan(nn.Module):
    """minGRU's recurrence in log space: h = exp(a + logcumsumexp(v - a)), a the running sum of log gates."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.head = nn.Linear(16, 48, bias=False), nn.Linear(24, 16, bias=False), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> Any:
        hidden, gate = self.up(x).chunk(2, -1)
        kept = (-F.softplus(gate)).cumsum(1)
        value = -F.softplus(-gate) + F.softplus(hidden).log()
        return self.head(F.gelu(self.down((kept + (value - kept).logcumsumexp(1)).exp())[:, -1]))


def test_a_weight_that_reads_exp_of_a_long_sum_is_measured() -> None:
    net, seen = LogScan(), []
    plan = initlab.init_(net, example_inputs=batch(32, 24, 16))
    net.down.register_forward_hook(lambda module, given, made: seen.append(float(made.detach().square().mean())))
    net(batch(32, 24, 16))
    assert 0.25 < seen[0] < 4, plan["down.weight"].reason


def test_a_constant_of_a_functions_form_stays() -> None:
    class Form(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.first, self.last, self.factor = nn.Linear(64, 256), nn.Linear(256, 10), factor

        def forward(self, x: torch.Tensor) -> Any:
            return self.last(1.7159 * torch.tanh(self.factor * self.first(x)))

    for factor, undone in ((2 / 3, 1.0), (0.125, 8.0)):
        std = initlab.plan(Form(factor), batch(256, 64))["first.weight"].std
        assert std == pytest.approx(undone / 8, rel=0.05)


def test_attention_in_one_call_ends_a_branch_by_its_out_projection() -> None:
    layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True), 2)
    given = torch.randn(8, 6, 32, generator=torch.Generator().manual_seed(0))
    initlab.init_(layers, example_inputs=given)
    layer = layers.train().layers[0]
    normed = layer.norm1(given)
    with torch.no_grad():
        branch = layer.self_attn(normed, normed, normed, need_weights=False)[0]
    share = float(branch.square().mean() / given.square().mean())
    assert share == pytest.approx(1 / 4, rel=0.3)  # of four branches; one draw of the weights, another's pass


def test_second_moments_of_many_numbers_are_added_by_blocks() -> None:
    numbers = torch.randn(3, 70_001, generator=torch.Generator().manual_seed(0))
    for tensor in (numbers, numbers.T, numbers[:, :9]):
        expected = float(tensor.double().square().mean())
        assert second_moment(tensor) == pytest.approx(expected, rel=1e-6)
    numbers[1, 5] = torch.inf
    finite = numbers[numbers.isfinite()]
    assert second_moment(numbers) == pytest.approx(float(finite.double().square().mean()), rel=1e-6)


class AskedForItsMatrix(nn.Module):
    """A layer is applied to the identity before the data, to get at its matrix (as DoRA does, Liu et al., 2024)."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.down, self.up = nn.Linear(64, 32), nn.Linear(64, 8, bias=False), nn.Linear(8, 32, bias=False)
        self.magnitude = nn.Parameter(torch.ones(32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = self.base.weight + self.up(self.down(torch.eye(64))).T
        return (self.base(x) + self.up(self.down(x))) * self.magnitude / whole.norm(dim=1)


def test_a_layer_on_the_identity_is_not_measured() -> None:
    plan = initlab.plan(AskedForItsMatrix(), torch.randn(256, 64))
    assert plan["down.weight"].std == pytest.approx(1 / 8, rel=0.3)


def test_a_read_out_is_brought_to_its_first_loss_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(*args: Any) -> float:
        asked.append(args[1:])
        return head_factor(*args)

    monkeypatch.setattr("initlab.planning.calibration.read_outs.head_factor", counted)
    initlab.plan(nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 500)), torch.randn(8, 16))
    assert len(asked) == len(set(asked)) > 0  # what it makes is what is returned


class ReadBesideATable(nn.Module):
    """A read-out of which one part is the table that is looked up, and one a matrix (Sun et al., MobileBERT, 2020)."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.table, self.up = nn.Embedding(256, 64), nn.Linear(64, 64 + extra)
        self.norm, self.more = nn.LayerNorm(64 + extra), nn.Linear(256, extra, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        read: torch.Tensor = self.norm(self.up(self.table(tokens)).relu())
        return read @ torch.cat([self.table.weight.t(), self.more.weight])


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("extra", [0, 32])
def test_a_read_out_of_two_parts_is_one_matrix(extra: int) -> None:
    model, tokens = ReadBesideATable(extra), torch.arange(256).view(8, 32)
    plan = initlab.init_(model, example_inputs=tokens)
    loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten().roll(1))
    assert loss.item() < 1.05 * math.log(256)
    if extra:
        fans = record(model, tokens).uses("more.weight")[0].geometry
        assert fans is not None
        assert fans.fan_in == 96
        assert plan["more.weight"].std == pytest.approx(plan["table.weight"].std, rel=0.05)


class Corner(nn.Module):
    """A convolution that sees one pixel alone, which is the same in every picture, and a norm that leaves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.norm = nn.Conv2d(1, 8, 1, stride=8), nn.BatchNorm2d(8)
        self.inner, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.inner(self.norm(self.seen(x)).relu()).relu().mean((2, 3)))


def test_a_weight_that_nothing_reaches_keeps_the_std_of_its_rules() -> None:
    x = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    x[:, :, 0, 0] = 0.5
    plan = initlab.plan(Corner(), x)
    assert plan["inner.weight"].measured[0] < 1e-8
    assert plan["inner.weight"].std == pytest.approx(0.5)  # gain √2 behind relu, of eight channels
    assert any("next to nothing reaches inner.weight, head.weight" in words for words in plan.warnings)
    assert plan["head.weight"].correction < 1  # as of features of unit size: they may grow in a step


def test_a_weight_that_reads_small_data_is_as_much_larger() -> None:
    x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    build = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    usual, small = (initlab.plan(build, x * size)["0.weight"].std for size in (1.0, 1e-5))
    assert small == pytest.approx(1e5 * usual, rel=0.01)


class Shared(nn.Module):
    """A layer that reads what another made, and the data as well: it is shared, and no loop applies it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.shared, self.head = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.shared(torch.relu(self.inner(x))) + self.shared(x))


def test_a_shared_layer_is_sized_by_its_first_use() -> None:
    x = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    entry = initlab.plan(Shared(), x)["shared.weight"]
    second, target = entry.measured
    assert second * entry.correction**2 == pytest.approx(target, rel=0.2)
    assert second < 0.5  # what the first use makes, and not the mean with that of the data


class Weighed(nn.Module):
    """Channels weighed by a gate of three numbers, which reads means of neighbours (Wang et al., ECA-Net, 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.gate = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = F.silu(self.norm(self.conv(x)))
        self.means = made.mean((2, 3))[:, None]
        return made * torch.sigmoid(self.gate(self.means)).movedim(1, 2)[..., None]


def test_a_weight_of_three_numbers_is_sized_for_all_its_draws() -> None:
    blocks = [Weighed() for _ in range(4)]
    model = nn.Sequential(nn.Conv2d(3, 32, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))
    x = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plan = initlab.init_(model, example_inputs=x)
    model(x)
    for block, at in zip(blocks, range(1, 5), strict=True):
        read = F.conv1d(block.means.square(), torch.ones(1, 1, 3), padding=1).mean().item()
        assert plan[f"{at}.gate.weight"].std ** 2 * read == pytest.approx(0.1, rel=0.2)
