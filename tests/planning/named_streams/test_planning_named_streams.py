"""`streams` and `reinit_`: a model's own start from its parameters' streams, whatever draws it and in what order."""

from __future__ import annotations

import gc
import math
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import initlab
from initlab.errors import InputError
from initlab.planning.named_streams.log import read_log
from initlab.sampling import laws, sample


def _trunc_tf(tensor: torch.Tensor, std: float) -> None:
    """timm's: uniform, inverse error function, scale, clamp."""
    with torch.no_grad():
        tensor.uniform_(-0.95, 0.95).erfinv_().mul_(std * math.sqrt(2)).clamp_(-2 * std, 2 * std)


def _trunc_pick(tensor: torch.Tensor, std: float) -> None:
    """The old recipe: four draws, the first that fits."""
    four = tensor.new_empty((*tensor.shape, 4)).normal_()
    fits = (four < 2) & (four > -2)
    with torch.no_grad():
        tensor.copy_(four.gather(-1, fits.max(-1, keepdim=True)[1]).squeeze(-1)).mul_(std)


def _beside(p: torch.Tensor) -> None:
    made = torch.empty(p.shape, dtype=p.dtype)
    made.normal_(0, 0.1)
    made[0].zero_()
    p.data.copy_(made * 2 + 1)


def _rows(p: torch.Tensor) -> None:
    for row in p.data:
        row.normal_(0, 0.3)


def _copied_rows(p: torch.Tensor) -> None:
    for index in range(p.shape[0]):
        p.data[index].copy_(torch.randn(p.shape[1:]) * 0.3)


WAYS: dict[str, Callable[[nn.Parameter], Any]] = {
    "normal_": lambda p: nn.init.normal_(p, std=0.02),
    "uniform_": lambda p: nn.init.uniform_(p, -1, 1),
    "trunc_normal_": lambda p: nn.init.trunc_normal_(p, std=0.02),
    "trunc_normal_ cut close": lambda p: nn.init.trunc_normal_(p, std=1.0, a=-0.5, b=0.2),
    "xavier_normal_": nn.init.xavier_normal_,
    "kaiming_uniform_": lambda p: nn.init.kaiming_uniform_(p, a=math.sqrt(5)),
    "orthogonal_": nn.init.orthogonal_,
    "sparse_": lambda p: nn.init.sparse_(p, 0.3),
    "timm": lambda p: _trunc_tf(p, 0.02),
    "four draws": lambda p: _trunc_pick(p, 0.02),
    "data, scaled": lambda p: p.data.normal_(0, 0.02).mul_(1 / math.sqrt(12)),
    "exponential_": lambda p: p.data.exponential_(2.0),
    "log_normal_": lambda p: p.data.log_normal_(0.0, 0.5),
    "cauchy_": lambda p: p.data.cauchy_(),
    "geometric_": lambda p: p.data.geometric_(0.3),
    "bernoulli_": lambda p: p.data.bernoulli_(0.3),
    "random_": lambda p: p.data.random_(-3, 4),
    "randn, copied": lambda p: p.data.copy_(torch.randn(p.shape) * 0.02),
    "rand, set": lambda p: setattr(p, "data", torch.rand(p.shape).sub_(0.5)),
    "randn_like, added": lambda p: p.data.zero_().add_(torch.randn_like(p), alpha=0.1),
    "normal with a size": lambda p: p.data.copy_(torch.normal(1.0, 0.1, tuple(p.shape))),
    "normal of tensors": lambda p: p.data.copy_(torch.normal(torch.zeros(p.shape), 0.1)),
    "randint": lambda p: p.data.copy_(torch.randint(0, 9, p.shape)),
    "bernoulli of tensors": lambda p: p.data.copy_(torch.bernoulli(torch.full(p.shape, 0.3))),
    "beside": _beside,
    "rows": _rows,
    "copied rows": _copied_rows,
    "a block": lambda p: p.data[1:3, 2:5].normal_(),
    "a diagonal": lambda p: p.data.diagonal().normal_(),
    "transposed": lambda p: p.data.t()[2:5].uniform_(),
    "every second": lambda p: p.data[::2, ::2].normal_(),
    "eigenvectors": lambda p: p.data.copy_(torch.linalg.qr(torch.randn(p.shape[1], p.shape[1]))[0][: p.shape[0]]),
}


class Net(nn.Module):
    def __init__(self, way: str, first: bool = False, last: bool = False) -> None:
        super().__init__()
        self.way, self.first = way, nn.Linear(5, 5) if first else None
        self.w, self.v = nn.Parameter(torch.zeros(8, 12)), nn.Parameter(torch.zeros(8, 12))
        self.last = nn.Linear(3, 3) if last else None

    def init_weights(self, backwards: bool = False) -> None:
        for layer in filter(None, (self.first, self.last)):
            layer.reset_parameters()
        for p in (self.v, self.w) if backwards else (self.w, self.v):
            WAYS[self.way](p)


def _drawn(way: str, seed: int = 3, backwards: bool = False, **changes: bool) -> tuple[Net, initlab.StreamLog]:
    net = Net(way, **changes)
    with initlab.streams(net, seed=seed) as log:
        net.init_weights(backwards)
    return net, log


@pytest.mark.parametrize("way", WAYS)
def test_a_draw_follows_from_seed_and_name_and_torchs_generator_stays(way: str) -> None:
    torch.manual_seed(len(way))
    net = Net(way)
    state = torch.get_rng_state()
    with initlab.streams(net, seed=3) as log:
        net.init_weights()
    assert torch.equal(torch.get_rng_state(), state)
    assert log.elsewhere == 0
    assert log["w"].draws > 0
    assert log["w"].status == "drawn"
    torch.rand(7)
    for changes in ({"first": True}, {"last": True}, {"backwards": True}):
        other, _ = _drawn(way, **changes)
        assert torch.equal(other.w, net.w)
        assert torch.equal(other.v, net.v)
    assert not torch.equal(net.w, net.v)
    assert not torch.equal(_drawn(way, seed=4)[0].w, net.w)


def test_the_first_draw_is_that_of_init_() -> None:
    net, _ = _drawn("normal_")
    assert torch.equal(net.w, torch.from_numpy(sample(laws.Normal(0.0, 0.02), (8, 12), seed=3, name="w")))
    rows, _ = _drawn("rows")
    assert torch.equal(rows.w, torch.from_numpy(sample(laws.Normal(0.0, 0.3), (8, 12), seed=3, name="w")))
    copied, _ = _drawn("copied rows")
    torch.testing.assert_close(copied.w, rows.w)


def test_a_second_draw_has_a_stream_of_its_own_and_the_log_says_so() -> None:
    net = nn.Linear(6, 5)
    with initlab.streams(net) as log:
        nn.init.normal_(net.weight)
        first = net.weight.detach().clone()
        nn.init.normal_(net.weight)
    assert not torch.equal(first, net.weight)
    assert abs(float(torch.corrcoef(torch.stack([first.flatten(), net.weight.detach().flatten()]))[0, 1])) < 0.6
    assert log["weight"].draws == 2
    assert log["weight"].calls == ("normal(0, 1) ×2",)
    assert "1 drawn more than once" in repr(log)


def test_other_draws_pass_through_and_are_counted() -> None:
    net, other = nn.Linear(6, 5), torch.empty(4)
    torch.manual_seed(5)
    expected = (torch.empty(4).normal_(), torch.rand(3), torch.randperm(5))
    torch.manual_seed(5)
    with initlab.streams(net) as log:
        found = [other.normal_()]
        nn.init.normal_(net.weight)
        found.append(torch.rand(3))
        net.bias.data.copy_(torch.rand(5))
        found.append(torch.randperm(5))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert log.elsewhere == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_the_float32_value_rounded_once(dtype: torch.dtype) -> None:
    low, full = nn.Linear(40, 30, dtype=dtype), nn.Linear(40, 30)
    for net in (low, full):
        with initlab.streams(net, seed=2):
            nn.init.trunc_normal_(net.weight, std=0.02)
            net.bias.data.exponential_()
    assert torch.equal(low.weight, full.weight.to(dtype))
    assert torch.equal(low.bias, full.bias.to(dtype))


def test_a_complex_parameter_is_drawn() -> None:
    net = nn.ParameterDict({"w": torch.zeros(40, 50, dtype=torch.complex64)})
    with initlab.streams(net, seed=1):
        net["w"].data.normal_(0, 2.0)
    assert float(net["w"].detach().abs().square().mean()) == pytest.approx(4, rel=0.1)


def test_buffers_are_drawn_and_recorded_only_then() -> None:
    net = nn.BatchNorm1d(6)
    net.register_buffer("noise", torch.zeros(20))
    with initlab.streams(net, seed=1) as log:
        net.noise.normal_()
    assert log["noise"].buffer
    assert "running_mean" not in [record.name for record in log.records]
    assert log.missed == ("weight", "bias")


def test_meta_models_are_drawn_after_to_empty_before_or_within() -> None:
    built = nn.Linear(6, 5)
    with initlab.streams(built, seed=4):
        built.reset_parameters()
    with torch.device("meta"):
        before, within = nn.Linear(6, 5), nn.Linear(6, 5)
    before.to_empty(device="cpu")
    with initlab.streams(before, seed=4):
        before.reset_parameters()
    with initlab.streams(within, seed=4):
        within.to_empty(device="cpu")
        within.reset_parameters()
    assert torch.equal(built.weight, before.weight)
    assert torch.equal(built.weight, within.weight)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_wrapped_models_draw_the_same(wrap: Callable[[nn.Module], nn.Module]) -> None:
    plain, wrapped = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4))
    initlab.reinit_(plain, seed=1)
    initlab.reinit_(wrap(wrapped), seed=1)
    assert torch.equal(plain[0].weight, wrapped[0].weight)


class _Double(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    def right_inverse(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


def test_parametrized_layers_draw_the_original_tensor() -> None:
    net = nn.Linear(4, 4)
    parametrize.register_parametrization(net, "weight", _Double())
    with initlab.streams(net, seed=1) as log:
        nn.init.normal_(net.parametrizations.weight.original)
        first = net.weight.detach().clone()
        net.weight = torch.randn(4, 4)
    assert log["parametrizations.weight.original"].draws == 2
    assert not torch.equal(first, net.weight)


def test_layers_replaced_within_are_drawn_under_their_names() -> None:
    def build(before: int) -> nn.Module:
        net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        with initlab.streams(net, seed=1) as log:
            torch.rand(before)
            net[1] = nn.Linear(4, 9)
            nn.init.trunc_normal_(net[1].weight, std=0.5)
        assert log["1.weight"].shape == (9, 4)
        return net

    one, other = build(0), build(5)
    assert torch.equal(one[1].weight, other[1].weight)
    assert torch.equal(one[1].bias, other[1].bias)


def test_a_stage_draws_what_the_whole_model_draws() -> None:
    whole = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))
    stage = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    initlab.reinit_(whole, seed=1)
    assert initlab.reinit_(stage, seed=1, prefix="1")["1.0.weight"].draws == 1
    assert torch.equal(whole[1][0].weight, stage[0].weight)


def test_logs_save_load_and_differ(tmp_path: Path) -> None:
    _, log = _drawn("normal_")
    _, other = _drawn("orthogonal_", last=True)
    read = read_log(log.save(tmp_path / "log.json"))
    assert read.diff(log) == ()
    assert {(d.name, d.what) for d in read.diff(other)} >= {("w", "calls"), ("last.weight", "is")}
    page = log.save(tmp_path / "log.html").read_text()
    assert "normal(0, 0.02)" in page
    assert list(log.to_frame().index) == ["w", "v"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seed": 0}', '{"seed": "x", "parameters": []}'])
def test_what_is_no_log_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(InputError, match="holds no log"):
        read_log(tmp_path / "log.json")
    with pytest.raises(InputError, match="path must be a path; got 5"):
        read_log(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"prefix": 3}, "prefix must be a string"),
        ({"model": 3}, "model must be a torch.nn.Module"),
        ({"model": nn.ReLU()}, "has no parameters"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message), initlab.streams(**{"model": nn.Linear(2, 2), **arguments}):
        pass


def test_streams_within_streams_are_refused_and_an_error_within_ends_the_block() -> None:
    net, original = nn.Linear(2, 2), torch.nn.init._no_grad_trunc_normal_
    with pytest.raises(InputError, match="within streams"), initlab.streams(net), initlab.streams(net):
        pass
    with pytest.raises(ZeroDivisionError), initlab.streams(net):
        1 / 0
    assert torch.nn.init._no_grad_trunc_normal_ is original
    with initlab.streams(net):
        pass


def test_threads_whose_blocks_overlap_each_draw_a_cut_normal_once() -> None:
    """The thread that entered first leaves first: torch's function stays stood in for until the other leaves."""
    first_entered, second_entered, first_left = threading.Event(), threading.Event(), threading.Event()
    original, logs = torch.nn.init._no_grad_trunc_normal_, dict[str, initlab.StreamLog]()

    def first() -> None:
        with initlab.streams(nn.Linear(2, 2)):
            first_entered.set()
            assert second_entered.wait(60)
        first_left.set()

    def second() -> None:
        net = nn.Linear(2, 2)
        assert first_entered.wait(60)
        with initlab.streams(net) as log:
            second_entered.set()
            assert first_left.wait(60)
            nn.init.trunc_normal_(net.weight)
        logs["second"] = log

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logs["second"]["weight"].calls == ("trunc_normal(0, 1, -2, 2)",)
    assert torch.nn.init._no_grad_trunc_normal_ is original


def test_draws_elsewhere_that_are_gone_hold_no_states_of_the_generator() -> None:
    """A state of torch's generator is 5 kB: 4,096 draws would hold 20 MB of them."""
    net = nn.Linear(2, 2)
    with initlab.streams(net) as log:
        for _ in range(9000):
            torch.rand(1)
        gc.collect()
        held = sum(isinstance(item, torch.Tensor) and item.dtype == torch.uint8 for item in gc.get_objects())
    assert held < 1200
    assert log.elsewhere == 9000


def test_reinit_draws_as_building_does() -> None:
    net = nn.Transformer(16, 2, 1, 1, 32)
    assert initlab.reinit_(net, seed=1).missed == ()
    names = {name for name, p in net.named_parameters() if p.dim() > 1}
    bounds = {n: math.sqrt(6 / sum(p.shape)) for n, p in net.named_parameters() if n in names}
    assert all(float(p.abs().max()) <= bounds[n] for n, p in net.named_parameters() if n in names)
    layers = [net.encoder.layers[0].linear1.weight, net.decoder.layers[0].linear1.weight]
    assert not torch.equal(*layers)


@pytest.mark.parametrize(
    ("place", "words"), [(torch.device("meta"), "to_empty"), (torch.inference_mode(), "inference")]
)
def test_reinit_refuses_what_cannot_hold_a_start(place: Any, words: str) -> None:
    with place:
        model = nn.Linear(4, 4)
    with pytest.raises(InputError, match=words):
        initlab.reinit_(model)


def test_reinit_names_every_layer_that_has_no_start_of_its_own() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(3))

    net = nn.Sequential(nn.Linear(3, 3), Scale(), Scale())
    before = [p.clone() for p in net.parameters()]
    with pytest.raises(InputError, match=r"2 layers have parameters and no reset_parameters.*1 \(Scale\), 2 \(Scale\)"):
        initlab.reinit_(net)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_operations_on_many_tensors_and_a_generator_of_the_users() -> None:
    def start(before: int) -> tuple[nn.Module, torch.Generator, torch.Tensor]:
        net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
        generator = torch.Generator().manual_seed(before)
        state = generator.get_state()
        held = list(net.parameters())
        with initlab.streams(net, seed=1) as log, torch.no_grad():
            torch._foreach_copy_(held, [torch.randn(p.shape, generator=generator) for p in held])
            torch._foreach_mul_(held, 0.5)
            nn.init.normal_(net[0].bias, generator=generator)
            net[1].bias.copy_(torch.rand(8, generator=generator))
        assert log.elsewhere == 0
        assert log["1.weight"].draws == 1
        return net, generator, state

    one, generator, state = start(0)
    other, _, _ = start(7)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert torch.equal(generator.get_state(), state)
    assert float(one[0].weight.detach().std()) == pytest.approx(0.5, rel=0.3)


def test_a_start_made_again_moves_no_generator() -> None:
    """Layers that draw a weight which is no parameter: the one that weight norm makes."""
    with warnings.catch_warnings(action="ignore"):
        model = nn.utils.weight_norm(nn.Linear(4, 4))
    before = torch.get_rng_state()
    initlab.reinit_(model)
    assert torch.equal(torch.get_rng_state(), before)
