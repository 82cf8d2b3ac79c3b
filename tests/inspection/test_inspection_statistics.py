"""Each statistic against a straightforward computation on the same tensors."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import initlab
from initlab.inspection.histogram import BINS
from initlab.inspection.moments import Moments, batch_axis, measure, settled
from initlab.inspection.optimizers import step_of
from initlab.inspection.recorder import Record
from initlab.inspection.updates import Use, _any_equal, parameter_stats, sizes_of, useful_square

GENERATOR = torch.Generator().manual_seed(5)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR)


def moments_of(tensor: torch.Tensor, kind: str, batch: int | None, unit_axis: int) -> Moments:
    """In single precision, and once more in double where that does not bear it, as an inspection takes them."""
    taken = (settled([measure(tensor, kind, batch, unit_axis, wide=wide)])[0] for wide in (False, True))
    return next(moments for moments in taken if moments is not None)


@pytest.mark.parametrize(
    ("shape", "batch", "unit_axis"),
    [((64, 30), 64, 1), ((16, 8, 5, 5), 16, 1), ((16, 7, 12), 16, -1), ((7, 16, 12), 16, -1), ((48, 12), 16, 1)],
)
def test_moments_equal_the_plain_formulas(shape: tuple[int, ...], batch: int, unit_axis: int) -> None:
    y = normal(*shape) + normal(*shape[1:]) * 0.5 + 0.3
    found = moments_of(y, "linear", batch, unit_axis)
    wide = y.double()
    per_sample = (wide if shape[0] % batch == 0 else wide.transpose(0, 1)).reshape(batch, -1)
    between = per_sample.var(0, correction=0).sum() / per_sample.square().mean(0).sum()
    others = [d for d in range(y.ndim) if d != unit_axis % y.ndim]
    rows = wide.var(others, correction=0).mean() / wide.square().mean()
    expected = {"mean": wide.mean(), "std": wide.std(correction=0), "second_moment": wide.square().mean(),
                "between": between, "row_share": rows}  # fmt: skip
    # single precision, sums of a few thousand terms
    assert {k: getattr(found, k) for k in expected} == pytest.approx(
        {k: float(v) for k, v in expected.items()}, rel=1e-4
    )
    assert found.unit_mean is not None
    assert torch.allclose(found.unit_mean.double(), wide.mean(others), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "batch", "axis"),
    [((8, 3), 8, 0), ((5, 8, 3), 8, 1), ((24, 3), 8, 0), ((5, 3), 8, None), ((), 8, None), ((8, 3), None, None)],
)
def test_the_batch_axis_is_found(shape: tuple[int, ...], batch: int | None, axis: int | None) -> None:
    assert batch_axis(shape, batch) == axis


@pytest.mark.parametrize(
    ("kind", "function"),
    [("tanh", torch.tanh), ("sigmoid", torch.sigmoid), ("softsign", F.softsign), ("elu", F.elu), ("selu", F.selu),
     ("hardtanh", F.hardtanh), ("softplus", F.softplus), ("erf", torch.erf)],
)  # fmt: skip
def test_saturated_counts_slopes_under_five_percent_of_the_largest(kind: str, function: object) -> None:
    z = (normal(64, 50) * 3).double().requires_grad_()
    y = function(z)  # type: ignore[operator]
    (slope,) = torch.autograd.grad(y.sum(), z)
    grid = torch.linspace(-6, 6, 4001, dtype=torch.double, requires_grad=True)
    (slopes,) = torch.autograd.grad(function(grid).sum(), grid)  # type: ignore[operator]
    expected = float((slope < 0.05 * slopes.max()).double().mean())
    found = moments_of(y, kind, 64, 1).saturated
    assert found == pytest.approx(expected, abs=0.02)  # bounds are rounded to four digits, selu's two pieces differ
    assert found > 0.01


def test_dead_units_are_off_for_every_sample_and_position() -> None:
    y = normal(32, 10).relu()
    y[:, [2, 5, 7]] = 0
    assert moments_of(y, "relu", 32, 1).dead == pytest.approx(0.3)
    image = normal(8, 4, 3, 3).relu()
    image[:, 1] = 0
    assert moments_of(image, "relu", 8, 1).dead == pytest.approx(0.25)
    assert moments_of(y, "tanh", 32, 1).dead is None


def test_the_histogram_counts_every_element_of_its_sample() -> None:
    y = normal(100, 50)
    found = moments_of(y, "linear", 100, 1)
    assert sum(found.counts) == y.numel()
    assert len(found.counts) == BINS == len(found.edges) - 1
    assert found.edges[0] == pytest.approx(float(y.min()))
    assert found.edges[-1] == pytest.approx(float(y.max()))


@pytest.mark.parametrize("scale", [1e-25, 1e-15, 1.0, 1e15, 1e25])
def test_squares_that_leave_single_precision_are_taken_in_double(scale: float) -> None:
    y = normal(64, 20)
    base, found = moments_of(y, "linear", 64, 1), moments_of(y * scale, "linear", 64, 1)
    assert found.second_moment == pytest.approx(base.second_moment * scale * scale, rel=1e-3)
    assert found.between == pytest.approx(base.between, rel=1e-3)
    assert found.nonfinite == 0


def test_between_is_measured_down_to_rounding_not_as_a_difference_of_sums() -> None:
    y = 1.0 + 1e-5 * normal(256, 40)
    assert moments_of(y, "linear", 256, 1).between == pytest.approx(1e-10, rel=0.1)


def network() -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))
    torch.set_rng_state(torch_state)
    return model, torch.randn(64, 12, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 4


def test_gradients_equal_those_of_a_plain_backward_pass() -> None:
    model, x, y = network()
    report = initlab.inspect(model, x, y, F.cross_entropy)
    outputs = [x]
    for module in model:
        outputs.append(module(outputs[-1]))
    loss = F.cross_entropy(outputs[-1], y)
    at_outputs = torch.autograd.grad(loss, outputs[1:], retain_graph=True)
    names = [name for name, _ in model.named_parameters()]
    at_weights = dict(zip(names, torch.autograd.grad(loss, list(model.parameters())), strict=True))
    assert report.loss == pytest.approx(loss.item(), rel=1e-6)
    assert [x.name for x in report.layers] == ["0", "1", "2", "3", "4"]
    for layer, expected in zip(report.layers, at_outputs, strict=True):
        assert layer.grad_rms == pytest.approx(float(expected.square().mean().sqrt()), rel=1e-5)
    for p in report.parameters:
        assert p.grad_rms == pytest.approx(float(at_weights[p.name].square().mean().sqrt()), rel=1e-5)
        assert p.rms == pytest.approx(float(dict(model.named_parameters())[p.name].square().mean().sqrt()), rel=1e-5)


OPTIMIZERS: dict[str, dict[str, object]] = {
    "SGD": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "Adam": {"weight_decay": 0.3},
    "AdamW": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Rprop": {},
    "Adagrad": {"initial_accumulator_value": 0.1},
    "Adadelta": {},
    "ASGD": {},
    "Adafactor": {},
    "Muon": {},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_update_ratio_is_that_of_the_optimizers_first_step(name: str) -> None:
    """Against a real step in double precision, one group of a rate of its own."""

    def held(model: nn.Module) -> torch.optim.Optimizer:
        first, *others = (p for p in model.parameters() if name != "Muon" or p.ndim == 2)
        groups = [{"params": [first], "lr": 0.02}, {"params": others}]
        made: torch.optim.Optimizer = getattr(torch.optim, name)(groups, **{"lr": 0.01, **OPTIMIZERS[name]})
        return made

    model, x, y = network()
    own = held(model)
    report = initlab.inspect(model, x, y, F.cross_entropy, optimizer=own, line_probe=False)
    assert report.optimizer == name.lower()
    assert not own.state or name == "Adagrad"  # which fills its own when it is made
    before = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    step = held(model.double())
    F.cross_entropy(model(x.double()), y).backward()
    step.step()
    for p in report.parameters:
        moved = dict(model.named_parameters())[p.name].detach() - before[p.name]
        expected = float(moved.square().mean().sqrt() / before[p.name].square().mean().sqrt())
        assert p.update_ratio == pytest.approx(expected, rel=1e-3)


def test_a_first_step_unlike_the_later_ones_is_told() -> None:
    """RMSprop's average of squares begins at 0.01 g²: ten times Adam's step. RAdam begins by plain descent."""
    model, x, y = network()
    told = {name: initlab.inspect(model, x, y, F.cross_entropy, optimizer=name).notes for name in ("rmsprop", "nadam")}
    assert any("first step is 10 times" in note for note in told["rmsprop"])
    assert not any("first step" in note for note in told["nadam"])
    with pytest.raises(initlab.InputError, match="LBFGS takes no step from a gradient alone"):
        initlab.inspect(model, x, y, F.cross_entropy, optimizer=torch.optim.LBFGS(model.parameters()))


def test_functional_activations_are_layers_too() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.w = nn.Linear(6, 6), nn.Linear(6, 6), nn.Parameter(torch.randn(6, 6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.a(x))
            x = torch.relu(self.b.forward(x)).tanh()
            return (x @ self.w).sigmoid_()

    report = initlab.inspect(Functional(), normal(8, 6))
    assert [(x.name, x.kind) for x in report.layers] == [
        ("a", "linear"), ("relu#1", "relu"), ("b", "linear"), ("relu#2", "relu"), ("tanh", "tanh"),
        ("matmul", "matmul"), ("sigmoid", "sigmoid"),
    ]  # fmt: skip
    assert report.layers[5].parameters == ("w",)


def test_weights_computed_from_parameters_belong_to_their_layer() -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.Tanh(), nn.Linear(5, 2))
    report = initlab.inspect(model, normal(8, 6))
    assert [(x.name, x.kind) for x in report.layers] == [("0", "linear"), ("1", "tanh"), ("2", "linear")]
    assert set(report.layers[0].parameters) >= {"0.parametrizations.weight.original0", "0.bias"}


def test_no_activation_outlives_its_statistics() -> None:
    alive: list[int] = []
    seen: list[weakref.ref[torch.Tensor]] = []
    gc.freeze()  # what every other file imported need not be searched at each layer

    class Probe(nn.Module):
        """Passes its input on, and counts how many earlier ones are still held."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            gc.collect()
            alive.append(sum(ref() is not None for ref in seen))
            seen.append(weakref.ref(x))
            return x * 1.0

    # Multiplying by a number saves nothing for autograd, so that only initlab could keep what flows through.
    model = nn.Sequential(*[Probe() for _ in range(8)])
    initlab.inspect(model, normal(16, 4))
    gc.unfreeze()
    assert alive == [0, 1, 1, 1, 1, 1, 1, 1]  # the user's own input stays; nothing else does


def test_a_pass_with_gradients_leaves_no_activation_behind() -> None:
    model, x, y = network()
    refs: list[weakref.ref[torch.Tensor]] = []
    handles = [m.register_forward_hook(lambda *a: refs.append(weakref.ref(a[2])) or None) for m in model]
    report = initlab.inspect(model, x, y)
    for handle in handles:
        handle.remove()
    gc.collect()
    assert len(refs) == 5 * (1 + len(report.learning_rate.tried))
    assert all(ref() is None for ref in refs)
    assert report.layers


class Makes(TorchDispatchMode):
    """Keeps the number of elements of the largest tensor that is made inside, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            given = {t.untyped_storage().data_ptr() for t in (*args, *(kwargs or {}).values()) if torch.is_tensor(t)}
            self.largest = max(self.largest, 0 if made.untyped_storage().data_ptr() in given else made.numel())
        return made


@pytest.mark.parametrize("mean", [0.0, 1.0, 20.0])
def test_statistics_make_nothing_as_large_as_what_they_are_of(mean: float) -> None:
    y = mean + normal(512, 1024)
    record = Record(0, "", "linear", False, ("w",), (512, 1024), 1, measure(y, "linear", 512, 1))
    record.input_mean, record.grad_unit_sum = y.mean(0), y.sum(1)
    use = Use("w", normal(512, 1024), y * 1e-6, record)
    with Makes() as seen:
        measured = measure(y, "linear", 512, 1)
        (found,) = parameter_stats([use], step_of("adamw", 1e-3, nn.Identity()), 1.0, 512)
    assert 0 < seen.largest <= y.numel() // 4
    assert measured.numbers["centred"].item() == pytest.approx(float((y.double() - y.mean(0)).square().sum()), rel=1e-5)
    assert found.grad_rms == pytest.approx(float((y * 1e-6).square().mean().sqrt()), rel=1e-5)


@pytest.mark.parametrize("size", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("shape", [(300, 500), (40, 30, 3, 3)])
def test_the_useful_part_of_a_gradient_is_what_the_mean_of_its_inputs_does_not_make(
    shape: tuple[int, ...], size: float
) -> None:
    delta, mean = normal(shape[0]), 1 + normal(shape[1])
    along = (delta[:, None] * mean).reshape(*shape[:2], *[1] * (len(shape) - 2))
    kept = size * normal(*shape)
    record = Record(0, "", "conv2d", False, ("w",), shape, 1, measure(normal(4, 4), "linear", 4, 1))
    record.input_mean, record.grad_unit_sum = mean, delta
    gradient = (along + kept).contiguous()
    found = useful_square(gradient, record, 16, *sizes_of([gradient]))
    assert found is not None
    assert float(found) == pytest.approx(float(kept.double().square().sum()), rel=1e-4)  # of single precision


@pytest.mark.parametrize("rows", [10, 3000])
def test_rows_alike_by_chance_in_one_product_are_not_taken_for_equal(rows: int) -> None:
    hashes = torch.randn(rows, 2, generator=torch.Generator().manual_seed(1)).double().numpy()
    hashes[1, 0] = hashes[0, 0]
    assert not _any_equal(hashes)
    hashes[-1] = hashes[0]
    assert _any_equal(hashes)


@pytest.mark.parametrize("value", [0.0, 1e-20])
def test_a_layer_of_zeros_is_no_reason_for_a_second_pass(value: float) -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    nn.init.constant_(model[2].weight, value)
    nn.init.zeros_(model[2].bias)
    report = initlab.inspect(model, normal(32, 8), torch.arange(32) % 3, line_probe=False)
    assert report.passes == {"forward": 1 if value == 0 else 2, "backward": 1 if value == 0 else 2}
    assert (report.layers[-1].second_moment == 0) == (value == 0)
