"""Plans: what each policy gives each kind of parameter, why, and how a plan shows itself."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.planning import get_policy, list_policies


class Block(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.up, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.ln_1(x)
        x = x + self.attn(h, h, h)[0]
        return x + self.c_proj(nn.functional.gelu(self.up(self.ln_2(x))))


class LanguageModel(nn.Module):
    def __init__(self, blocks: int = 3, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.position = nn.Parameter(torch.zeros(1, 6, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, 20, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.position
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


TOKENS = torch.zeros(2, 6, dtype=torch.int64)


def laws_of(plan: initlab.Plan) -> dict[str, str]:
    return {entry.name: entry.scheme for entry in plan.entries}


@pytest.mark.parametrize(
    ("module", "name", "scheme", "value"),
    [
        (nn.Linear(4, 3), "bias", "zeros", 0.0),
        (nn.LayerNorm(4), "weight", "ones", 1.0),
        (nn.LayerNorm(4), "bias", "zeros", 0.0),
        (nn.GroupNorm(2, 4), "weight", "ones", 1.0),
        (nn.BatchNorm3d(4), "bias", "zeros", 0.0),
        (nn.PReLU(), "weight", "constant(value=0.25)", 0.25),
        (nn.GRU(3, 4), "bias_ih_l0", "zeros", 0.0),
        (nn.LSTM(3, 4), "bias_hh_l0", "zeros", 0.0),
        (nn.MultiheadAttention(4, 2), "in_proj_bias", "zeros", 0.0),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, nn.Module) else str(item),
)
def test_what_is_not_a_weight_starts_as_a_constant(module: nn.Module, name: str, scheme: str, value: float) -> None:
    for policy in ("auto", "he_normal", "zeros"):
        plan = initlab.init_(module, policy)
        assert plan[name].scheme == scheme
        assert (dict(module.named_parameters())[name] == value).all()


@pytest.mark.parametrize(
    "build", [lambda: nn.LSTM(3, 5, bidirectional=True), lambda: nn.LSTMCell(3, 5)], ids=["LSTM", "cell"]
)
@pytest.mark.parametrize("forget", [None, 0.0, -1.5])
def test_the_forget_gate_gets_its_bias_once(build: Any, forget: float | None) -> None:
    module = build()
    policy = "auto" if forget is None else get_policy("auto", forget_bias=forget)
    plan = initlab.init_(module, policy)
    total = 1.0 if forget is None else forget
    suffix = "_l0" if isinstance(module, nn.LSTM) else ""
    both = getattr(module, f"bias_ih{suffix}") + getattr(module, f"bias_hh{suffix}")
    assert both.detach().view(4, 5).mean(1).tolist() == [0.0, total, 0.0, 0.0]
    assert f"forget gate {total:g}" in plan[f"bias_ih{suffix}"].reason


def test_the_forget_gate_can_be_named() -> None:
    module = nn.LSTM(3, 5)
    plan = initlab.init_(module, {"*": "auto", "bias_ih_l0": initlab.get_scheme("constant", value=2.0)})
    assert (module.bias_ih_l0 == 2).all()
    assert plan["bias_hh_l0"].std == 0


@pytest.mark.parametrize("row", [0, 3, 9])
def test_the_padding_row_is_zero(row: int) -> None:
    module = nn.Embedding(10, 8, padding_idx=row)
    for policy in ("auto", "torch_default", "gpt2"):
        plan = initlab.init_(module, policy)
        assert (module.weight[row] == 0).all()
        assert (module.weight != 0).sum() == 72
        assert f"padding row {row} zero" in plan["weight"].reason


def test_a_tied_embedding_is_small_enough_to_read_out() -> None:
    plan = initlab.plan(LanguageModel())
    entry = plan["out.weight"]
    assert entry.name == "embed.weight"
    assert entry.tied_to == ("out.weight",)
    assert entry.std == pytest.approx(1 / 4)
    assert "output layer" in entry.reason
    assert sum(entry.numel for entry in plan.entries) == sum(p.numel() for p in LanguageModel().parameters())


def test_positions_are_small() -> None:
    assert initlab.plan(LanguageModel())["position"].std == 0.02
    assert initlab.plan(LanguageModel(), TOKENS)["position"].std == 0.02


def test_what_is_not_understood_is_kept_with_the_reason() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.temperature = nn.Linear(3, 3), nn.Parameter(torch.tensor(0.07))

    model = Odd()
    plan = initlab.init_(model, "he_normal")
    assert plan["temperature"].action == "keep"
    assert "role of a 0-d parameter of Odd is not known" in plan["temperature"].reason
    assert model.temperature.item() == pytest.approx(0.07)
    assert any("1 parameters are kept since their role is not known: temperature" in w for w in plan.warnings)


@pytest.mark.parametrize(
    ("activation", "gain"),
    [
        (nn.ReLU(), math.sqrt(2)),
        (nn.LeakyReLU(0.2), math.sqrt(2 / 1.04)),
        (nn.Identity(), 1.0),
        (nn.Tanh(), 1.5927),  # 1/√E[tanh²], Gauss–Hermite quadrature
        (nn.Sequential(nn.Dropout(0.5), nn.ReLU()), 1.0),  # E[(m·x)²] = E[x²]/(1 − p), before or after the function
        (nn.Sequential(nn.ReLU(), nn.Dropout(0.5)), 1.0),
        (nn.Sequential(nn.ReLU(), nn.Dropout(0.5)).eval(), math.sqrt(2)),
        (nn.Sequential(nn.SELU(), nn.AlphaDropout(0.5)), 1.0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("recorded", [False, True])
def test_auto_takes_the_gain_of_what_feeds_the_layer(activation: nn.Module, gain: float, recorded: bool) -> None:
    model = nn.Sequential(nn.Linear(64, 8), activation, nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
    x = torch.randn(4096, 64, generator=torch.Generator().manual_seed(0))
    plan = initlab.plan(model, x if recorded else None)
    assert plan["0.weight"].gain == 1.0
    assert plan["2.weight"].gain == pytest.approx(gain, rel=1e-3)
    assert plan["2.weight"].std == pytest.approx(plan["2.weight"].correction * gain / math.sqrt(8), rel=1e-3)
    assert "gain" in plan["2.weight"].reason


class Swish(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


class NotScalar(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(-1, keepdim=True)


def test_auto_knows_an_activation_by_what_it_does() -> None:
    model = nn.Sequential(nn.Linear(8, 8), Swish(), nn.Linear(8, 8), NotScalar(), nn.Linear(8, 8))
    plan = initlab.plan(model)
    assert plan["2.weight"].gain == pytest.approx(initlab.theory.gain("silu"), rel=1e-6)
    assert plan["4.weight"].gain == 1.0
    assert "not known without example_inputs" in plan["4.weight"].reason


def test_auto_reads_functional_code_from_the_recording() -> None:
    plan, blind = initlab.plan(LanguageModel(), TOKENS), initlab.plan(LanguageModel())
    assert plan["blocks.0.c_proj.weight"].gain == pytest.approx(initlab.theory.gain("gelu"), rel=1e-4)
    assert "gelu" in plan["blocks.0.c_proj.weight"].reason
    assert blind["blocks.0.c_proj.weight"].gain == 1.0
    assert "not known without example_inputs" in blind["blocks.0.c_proj.weight"].reason


def test_a_sequential_that_is_not_the_whole_model_has_an_unknown_head() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
            self.head = nn.Sequential(nn.Linear(4, 4))

    plan = initlab.plan(Wrapped())
    assert "not known" in plan["body.0.weight"].reason
    assert plan["body.2.0.weight"].gain == pytest.approx(math.sqrt(2))
    assert "not known" in plan["head.0.weight"].reason


def test_a_sequential_with_its_own_forward_says_nothing() -> None:
    class Own(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self[2](self[0](x))

    plan = initlab.plan(Own(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)))
    assert plan["2.weight"].gain == 1.0


def test_hidden_to_hidden_weights_are_orthogonal_gate_by_gate() -> None:
    module = nn.LSTM(6, 6)
    initlab.init_(module)
    for gate in module.weight_hh_l0.detach().chunk(4):
        assert torch.allclose(gate @ gate.T, torch.eye(6), atol=1e-5)


def test_every_policy_plans_every_model() -> None:
    lenient = [name for name in list_policies() if not get_policy(name).needs]
    for policy in (*lenient, "dcgan", *initlab.list_schemes()):
        for model in (LanguageModel(), nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), nn.LSTM(4, 4)):
            plan = initlab.plan(model, policy=policy)
            assert plan.counts["refuse"] == 0
            assert all(entry.reason for entry in plan.entries)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_constant_policy_makes_every_weight_equal(value: float) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5))
    initlab.init_(model, initlab.get_scheme("constant", value=value))
    assert all((p == (value if p.ndim > 1 else 0)).all() for p in model.parameters())


@pytest.mark.parametrize("recorded", [False, True])
def test_gpt2_scales_what_ends_a_residual_branch(recorded: bool) -> None:
    plan = initlab.plan(LanguageModel(3), TOKENS if recorded else None, policy="gpt2")
    scaled = {entry.name for entry in plan.entries if entry.std == pytest.approx(0.02 / math.sqrt(6))}
    assert scaled == {f"blocks.{i}.{n}.weight" for i in range(3) for n in ("attn.out_proj", "c_proj")}
    assert plan["embed.weight"].std == plan["blocks.0.up.weight"].std == 0.02
    assert "one of 6" in plan["blocks.0.c_proj.weight"].reason


def test_gpt2_says_when_it_finds_no_branch() -> None:
    plan = initlab.plan(nn.Linear(3, 3), policy="gpt2")
    assert any("no projection that ends a residual branch" in warning for warning in plan.warnings)


def test_zero_gamma_starts_each_residual_block_as_the_identity() -> None:
    model = nn.Sequential(Residual(), Residual())
    inputs = torch.randn(2, 4, 6, 6)
    initlab.init_(model, "zero_gamma", example_inputs=inputs)
    assert (model[0].bn2.weight == 0).all()
    assert (model[0].bn1.weight == 1).all()
    assert torch.equal(model(inputs), torch.relu(inputs))
    blind = initlab.plan(model, policy="zero_gamma")
    assert any("pass example_inputs" in warning for warning in blind.warnings)


def test_gan_draws_norm_weights_about_one() -> None:
    plan = initlab.plan(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), policy="gan")
    assert (plan["0.weight"].std, plan["1.weight"].std, plan["1.weight"].law.mean) == (0.02, 0.02, 1.0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(40, 30),
        lambda: nn.Conv2d(8, 6, 3, groups=2),
        lambda: nn.ConvTranspose2d(8, 6, 3),
        lambda: nn.Bilinear(5, 6, 7),
        lambda: nn.GRU(6, 7),
    ],
)
def test_torch_default_has_torchs_bounds(build: Any) -> None:
    """The bound shows in torch's own draws: the largest of n uniforms lies within 25/n of it but for e^-25."""
    torch.manual_seed(0)
    draws = [build() for _ in range(60)]
    plan = initlab.plan(draws[0], policy="torch_default")
    for name, _ in draws[0].named_parameters():
        largest = max(dict(d.named_parameters())[name].abs().max().item() for d in draws)
        count = 60 * plan[name].numel
        assert largest <= plan[name].law.high * (1 + 1e-6)
        assert largest >= plan[name].law.high * (1 - 25 / count)


@pytest.mark.parametrize(
    "option", [{"forget_bias": math.nan}, {"embedding_std": -1}, {"colour": 1}, {"position_std": "x"}]
)
def test_bad_options(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(option))):
        get_policy("auto", **option)


def test_options_show_in_the_plan() -> None:
    plan = initlab.plan(nn.Embedding(5, 4), policy=get_policy("he_normal", embedding_std=0.1))
    assert plan["weight"].std == 0.1
    assert "0.1" in plan["weight"].reason


@pytest.mark.parametrize(
    "normed", [torch.nn.utils.parametrizations.weight_norm, torch.nn.utils.weight_norm], ids=["parametrization", "hook"]
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_weight_norm_gives_the_product_the_planned_std(normed: Any) -> None:
    model = nn.Sequential(normed(nn.Linear(256, 256)))
    plan = initlab.init_(model, "he_normal")
    model(torch.zeros(1, 256))
    assert model[0].weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    assert any("weight norm" in entry.reason for entry in plan.entries)


@pytest.mark.parametrize("value", [0.0, 0.5, -0.25])
def test_weight_norm_can_hold_a_constant(value: float) -> None:
    model = torch.nn.utils.parametrizations.weight_norm(nn.Linear(16, 8))
    initlab.init_(model, initlab.get_scheme("constant", value=value))
    assert torch.allclose(model.weight, torch.full((8, 16), value))


@pytest.mark.parametrize(
    ("module", "policy", "message"),
    [
        (nn.Linear(3, 3), {"bias": "xavier_uniform"}, "'bias'.*xavier_uniform"),
        (nn.LayerNorm(3), {"weight": "orthogonal"}, "'weight'.*orthogonal"),
        (nn.LayerNorm(3), {"@LayerNorm": "he_normal"}, "'weight'.*he_normal"),
        (nn.PReLU(), {"weight": "sparse"}, "'weight'.*sparse"),
    ],
)
def test_a_rule_that_the_shape_cannot_hold_is_refused(module: nn.Module, policy: Any, message: str) -> None:
    before = [p.detach().clone() for p in module.parameters()]
    with pytest.raises(InputError, match=message):
        initlab.init_(module, policy)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_scalars_and_empty_tensors_under_a_fan_rule() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.empty = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.zeros(0, 3))

    for name in ("weight", "empty"):
        with pytest.raises(InputError, match=f"'{name}'"):
            initlab.plan(Odd(), policy={name: "he_normal"})
    assert initlab.init_(Odd()).counts == {"write": 0, "keep": 2, "refuse": 0}
    assert initlab.init_(Odd(), {"weight": "normal", "empty": "normal"}).counts["write"] == 2


def test_zero_gain_is_allowed_and_said() -> None:
    plan = initlab.plan(nn.Linear(4, 4), policy=initlab.get_scheme("orthogonal", gain=0.0))
    assert plan["weight"].std == 0
    assert "std 0" in plan["weight"].reason


def test_bf16_orthogonal() -> None:
    model = nn.Linear(32, 32, dtype=torch.bfloat16)
    initlab.init_(model, "orthogonal")
    weight = model.weight.detach().float()
    # bfloat16 rounds to 2^-9 relative: each of the 32 products in a row is off by at most 2^-8 of its size
    assert torch.allclose(weight @ weight.T, torch.eye(32), atol=2**-7)


def test_running_statistics_of_earlier_data_are_said() -> None:
    model = nn.BatchNorm1d(3)
    model(torch.randn(8, 3))
    assert any("running statistics" in warning for warning in initlab.plan(model).warnings)
    model.reset_running_stats()
    assert not initlab.plan(model).warnings


def test_the_table_fits_80_columns_and_has_every_parameter() -> None:
    plan = initlab.plan(LanguageModel(), TOKENS)
    lines = repr(plan).splitlines()
    assert max(map(len, lines)) <= 80
    for heading in ("parameter", "shape", "law", "std", "reason"):
        assert heading in lines[1]
    assert "to write" in repr(plan)


def test_names_are_text_everywhere() -> None:
    name = "<img src=x onerror=alert(1)>\x1b[31m\n"
    plan = initlab.plan(nn.ModuleDict({name: nn.Linear(2, 2)}))
    assert "<img" not in plan._repr_html_()
    for text in (repr(plan), plan.explain(f"{name}.weight")):
        assert "\x1b" not in text


def test_a_plan_is_data() -> None:
    one, other = nn.LSTM(3, 4), nn.LSTM(3, 4)
    plan = initlab.plan(one, policy="auto")
    kept = pickle.loads(pickle.dumps(plan))
    assert kept == plan
    initlab.init_(one, plan, seed=1)
    initlab.init_(other, kept, seed=1)
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    with pytest.raises(AttributeError):
        plan.policy = "x"  # type: ignore[misc]


def test_to_frame() -> None:
    frame = initlab.plan(LanguageModel(), TOKENS).to_frame()
    assert frame.loc["blocks.0.up.weight", "fan_in"] == 16
    assert frame.loc["blocks.0.up.weight", "std"] == pytest.approx(0.25)
    assert frame.index.name == "parameter"


def test_explain_has_formula_fans_and_source() -> None:
    text = initlab.plan(LanguageModel(), TOKENS).explain("blocks.0.c_proj.weight")
    for part in ("fan_in 64, fan_out 16", "gelu", "gain: 1.5", "formula: W ~", "source: LeCun", "why:"):
        assert part in text
    with pytest.raises(InputError, match=r"did you mean 'embed\.weight'"):
        initlab.plan(LanguageModel()).explain("embed.wieght")


class frozen_scale(nn.Module):
    """A layer whose own name is a word of another reason."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def test_what_a_plan_counts_is_the_code_of_a_reason_and_not_its_words() -> None:
    net = nn.Sequential(nn.Linear(3, 3), frozen_scale())
    net[0].bias.requires_grad_(False)
    plan = initlab.plan(net)
    assert (
        [entry.code for entry in plan.entries]
        == [entry.reason.code for entry in plan.entries]
        == ["fed", "frozen", "unknown_role"]
    )
    assert "frozen" in plan["1.scale"].reason
    assert [note.split(",")[0] for note in plan.warnings if "frozen" in note] == ["1 frozen parameters are kept"]


def test_a_reason_is_its_words_and_keeps_its_code_when_pickled_and_copied() -> None:
    reason = initlab.plan(nn.Linear(3, 2), policy={"@Linear": "keep"})["weight"].reason
    for again in (reason, pickle.loads(pickle.dumps(reason)), copy.deepcopy(reason)):
        assert (again, str(again), again.words, again.code) == (*["kept as asked: selector '@Linear'"] * 3, "keep")


def test_a_reason_of_words_alone_has_the_action_for_its_code() -> None:
    net = nn.Linear(3, 2)
    entry = initlab.init_(net, keep="weight")["weight"]
    assert (entry.reason, entry.reason.code, entry.action) == ("kept as asked: keep='weight'", "keep", "keep")


def test_policies_are_public() -> None:
    assert initlab.get_policy("gpt2").name in initlab.list_policies()


def test_a_plan_is_gone_through_and_asked_for_names() -> None:
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False))
    net[2].weight = net[0].weight
    plan = initlab.plan(net)
    assert [entry.name for entry in plan] == ["0.weight"]
    assert len(plan) == 1
    assert "0.weight" in plan
    assert "2.weight" in plan
    assert "1.weight" not in plan
    with pytest.raises(InputError, match=r"unknown parameter '0\.wight'.*0\.weight"):
        plan["0.wight"]


def test_a_weight_without_elements_is_kept_and_the_rest_planned() -> None:
    model = nn.Sequential(nn.Linear(8, 0), nn.Linear(0, 4))
    for policy in ("auto", "he_normal"):
        plan = initlab.init_(model, policy)
        assert plan["0.weight"].reason == "kept: it has no elements"
        assert plan["1.bias"].action == "write"
    with pytest.raises(InputError, match="no elements"):
        initlab.init_(model, {"0.weight": "he_normal"})


def test_a_policy_in_the_place_of_inputs_is_told_where_it_belongs() -> None:
    with pytest.raises(InputError, match="policy="):
        initlab.plan(nn.Linear(2, 2), "he_normal")
