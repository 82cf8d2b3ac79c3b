"""Data-dependent start after Krähenbühl: every unit has mean 0 and std 1 on a batch, and layers learn at one rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from initlab.errors import InputError, argued, check_flags, seed_number
from initlab.fitting.running import (
    batch_for,
    floating_in,
    generator,
    kept_on_failure,
    measuring,
    run_model,
    started,
)
from initlab.fitting.weighted import Call, Watch, watched
from initlab.guest.check import check_materialised
from initlab.guest.doubles import doubled
from initlab.planning import Plan
from initlab.reporting import Column, Shown, Table
from initlab.sampling import derive_seed

_DRAWS = 8
_SAME = 1e-3  # largest relative change of the output that balancing may cause and still count as none


@dataclass(frozen=True)
class DataDependentLayer:
    """What was done to one weight.

    Args:
        name: the parameter's name.
        std_before: std over units and rows of the operation's output with the start's weights.
        centred: whether the units' means were taken out, which needs a bias in the same operation.
        dead_units: units that are constant on the batch, and were left as they were.
        change_rate: rms of the gradient over rms of the weight, for random gradients at the output, before balancing.
        scale: factor by which balancing changed the weight.
    """

    name: str
    std_before: float
    centred: bool
    dead_units: int
    change_rate: float
    scale: float


@dataclass(frozen=True, repr=False)
class DataDependentResult(Shown):
    """What the data-dependent start did, in the order of the forward pass.

    Args:
        layers: the weights that were set.
        balanced: whether the layers' change rates were made equal.
        note: why not, where they were not.
        skipped: parameters with two or more axes that were left as the start drew them, each with the reason.
        plan: the start that was written first; None where the weights were taken as they were.
    """

    layers: tuple[DataDependentLayer, ...]
    balanced: bool
    note: str
    skipped: dict[str, str]
    plan: Plan | None = field(repr=False)

    def table(self) -> Table:
        """The layers as a reporting table."""
        columns = (
            Column("parameter", kind="code", keep=9),
            Column("std before", "right", "number", 8),
            Column("centred", keep=4),
            Column("dead units", "right", "number", 5),
            Column("change rate", "right", "number", 7),
            Column("scale", "right", "number", 6),
        )
        rows = [
            (x.name, x.std_before, "yes" if x.centred else "no", x.dead_units, x.change_rate, x.scale)
            for x in self.layers
        ]
        notes = [self.note, *(f"{name}: {reason}" for name, reason in self.skipped.items())]
        return Table("Data-dependent start", columns, rows, note="; ".join(note for note in notes if note))


@argued
def data_dependent_(
    model: nn.Module, batch: Any, *, start: Any = "lecun_normal", balance: bool = True, seed: int = 0
) -> DataDependentResult:
    """Data-dependent initialization: whiten each unit on a batch, then equalise the rates at which layers learn.

    Within layers, in the order of the forward pass: w_i ← w_i/σ_i and b_i ← −μ_i/σ_i for the mean μ_i and std σ_i of
    unit i over the batch. Between layers: with change rate C_k = rms(∂ℓ/∂W_k)/rms(W_k) for random gradients at the
    output, W_k ← W_k · √(C_k/C̄), b_k scaled along, C̄ the geometric mean. For a chain of positively homogeneous layers
    (linear, relu, pooling) that leaves the output as it is and makes every C_k equal to C̄; where it would change the
    output by more than 0.1% (residual branches, tanh) it is taken back, and the result says so. Frozen parameters
    are kept.

    Args:
        model: any module with materialised parameters.
        batch: inputs for one forward pass: a tensor, a tuple of positional arguments or a dict of keyword arguments.
        start: what to write first (anything `initlab.init_` takes), or None for the weights as they are.
        balance: whether to do the second part.
        seed: an integer in [0, 2^64).

    Raises:
        InputError: a bad argument, a batch with NaN or fewer than two rows, a forward that raises or is not finite; the
            parameters are then as they were.

    Source: Krähenbühl, Doersch, Donahue & Darrell 2016, Data-dependent initializations of CNNs, algorithms 1 and 2.

    >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> x = torch.linspace(-1, 1, 512).reshape(64, 8).sin()
    >>> result = data_dependent_(net, x, balance=False)
    >>> bool((net[0](x).std(0, correction=0) - 1).abs().max() < 1e-4)
    True
    """
    check_flags(balance=balance)
    module = check_materialised(model, parameters=True)
    args, kwargs = batch_for(module, batch)
    number = seed_number(seed)
    with kept_on_failure(module), measuring(module):
        plan = started(module, start, args, kwargs, number)
        whitening = _Whitening(dict(module.named_parameters()))
        with watched(module, whitening.handle) as watch:
            whitening.watch = watch
            run_model(module, args, kwargs)
        names = [layer.name for layer in whitening.layers]
        rates = _change_rates(module, names, args, kwargs, derive_seed(number, "krahenbuhl"))
        scales, note = dict.fromkeys(names, 1.0), ""
        if balance:
            scales, note = _balance(module, whitening, rates, args, kwargs)
    layers = tuple(_final(layer, rates, scales) for layer in whitening.layers)
    skipped = watch.skipped(names, whitening.reasons)
    return DataDependentResult(layers, balance and not note, note, skipped, plan)


class _Whitening:
    """The state of the first pass."""

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.parameters = parameters
        self.layers: list[DataDependentLayer] = []
        self.biases: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.watch: Watch

    def handle(self, call: Call) -> Tensor:
        if call.name in self.watch.looked_up:
            return call.output
        if not call.whole or call.unit_axis is None:
            self.reasons[call.name] = "used in parts, or with units that no one axis holds"
            return call.output
        before = _units(call.output, call.axis)
        if not bool(before.isfinite().all()):
            raise InputError(f"the output of {call.name!r} is not finite on this batch; scale the inputs first")
        if before.shape[1] < 2:
            raise InputError("batch must give each unit at least two values; pass more rows")
        std = before.std(1, correction=0)
        dead = std <= 1e-6 * std.max().clamp_min(1e-30)
        if bool(dead.all()):
            self.reasons[call.name] = "its output is constant on this batch"
            return call.output
        self.watch.settle(call.weight)
        call.scale_units(torch.where(dead, 1.0, 1 / std.clamp_min(1e-30)))
        bias = self.parameters[call.bias] if call.bias and call.bias not in self.watch.kept else None
        if bias is not None:
            self.biases[call.name] = call.bias
            mean = _units(call.again(), call.axis).mean(1)
            call.shift(bias, torch.where(dead, 0.0, mean))
        overall = float(call.output.float().std(correction=0))
        self.layers.append(DataDependentLayer(call.name, overall, bias is not None, int(dead.sum()), math.nan, 1.0))
        return call.again()


def _units(output: Tensor, axis: int) -> Tensor:
    """(units, values of each over rows and places)."""
    return output.float().movedim(axis, 0).flatten(1)


def _change_rates(
    model: nn.Module, names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any], seed: int
) -> dict[str, float]:
    """rms(gradient)/rms(weight) of each weight, averaged over draws of a random gradient at the output."""
    if not names:
        return {}
    own = generator(seed)
    parameters = dict(model.named_parameters())
    weights = [parameters[name] for name in names]
    needs = [weight.requires_grad for weight in weights]
    squares = torch.zeros(len(names), dtype=torch.float64, device="cpu")
    try:
        for weight in weights:
            weight.requires_grad_(True)
        with torch.enable_grad():
            outputs = [t for t in floating_in(run_model(model, args, kwargs)) if t.requires_grad]
            for draw in range(_DRAWS):
                noise = [torch.randn(t.shape, generator=own, device="cpu").to(t) for t in outputs]
                gradients = torch.autograd.grad(
                    outputs, weights, noise, retain_graph=draw < _DRAWS - 1, allow_unused=True
                )
                found = [0.0 if g is None else float(doubled(g).square().mean()) for g in gradients]
                squares += torch.tensor(found, device="cpu")
    finally:
        for weight, need in zip(weights, needs, strict=True):
            weight.requires_grad_(need)
    sizes = [float(doubled(weight.detach()).square().mean()) for weight in weights]
    return {
        name: math.sqrt(float(s) / _DRAWS / max(w, 1e-60)) for name, s, w in zip(names, squares, sizes, strict=True)
    }


@torch.no_grad()
def _balance(
    model: nn.Module, whitening: _Whitening, rates: dict[str, float], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, float], str]:
    """Rescale the chain so that all rates are equal; take it back if the output changes. Returns scales and why not."""
    names = list(rates)
    none = dict.fromkeys(names, 1.0)
    if len(names) < 2:
        return none, "not balanced: fewer than two layers"
    if any(not rate > 0 for rate in rates.values()):
        return none, "not balanced: a layer receives no gradient"
    mean = math.exp(sum(math.log(rate) for rate in rates.values()) / len(rates))
    scales = {name: math.sqrt(rate / mean) for name, rate in rates.items()}
    before = floating_in(run_model(model, args, kwargs))
    saved = {name: parameter.clone() for name, parameter in whitening.parameters.items()}
    so_far = 1.0
    for name in names:
        so_far *= scales[name]
        whitening.parameters[name].mul_(scales[name])
        if name in whitening.biases:
            whitening.parameters[whitening.biases[name]].mul_(so_far)
    after = floating_in(run_model(model, args, kwargs))
    change = max(_relative(a, b) for a, b in zip(after, before, strict=True))
    if change <= _SAME:
        return scales, ""
    for name, values in saved.items():
        whitening.parameters[name].copy_(values)
    return none, f"not balanced: rescaling would change the output by {change:.1%}; the layers are no homogeneous chain"


def _relative(after: Tensor, before: Tensor) -> float:
    size = float(doubled(before).norm())
    return float((doubled(after) - doubled(before)).norm()) / size if size > 0 else math.inf


def _final(layer: DataDependentLayer, rates: dict[str, float], scales: dict[str, float]) -> DataDependentLayer:
    return DataDependentLayer(
        layer.name, layer.std_before, layer.centred, layer.dead_units, rates[layer.name], scales[layer.name]
    )
