"""LSUV: an orthogonal start, then each layer in turn rescaled until its output has unit variance on a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from initlab.errors import InputError, argued, finite_number, seed_number, whole_number
from initlab.fitting.running import batch_for, kept_on_failure, measuring, run_model, started
from initlab.fitting.weighted import Call, Watch, watched
from initlab.graph import ParameterInfo, geometry_of
from initlab.guest.check import check_materialised
from initlab.planning import Plan
from initlab.reporting import Column, Shown, Table

_STATE = ("weight_hh", "weight_hr")  # torch's own names for what is applied to a recurrent state


@dataclass(frozen=True)
class LsuvLayer:
    """What was done to one weight.

    Args:
        name: the parameter's name, with the block's label where a packed weight is scaled block by block.
        std_before: std of the layer's output on the batch with the start's weights (and the layers before it done).
        std_after: std of the output after the last iteration.
        iterations: how often the weight was rescaled.
        converged: whether |variance − 1| is within the tolerance.
    """

    name: str
    std_before: float
    std_after: float
    iterations: int
    converged: bool


@dataclass(frozen=True, repr=False)
class LsuvResult(Shown):
    """What LSUV did, layer by layer in the order of the forward pass, and what it could not do.

    Args:
        layers: the rescaled weights in order.
        skipped: parameters with two or more axes that were left as the start drew them, each with the reason.
        plan: the start that was written first; None where the weights were taken as they were.
    """

    layers: tuple[LsuvLayer, ...]
    skipped: dict[str, str]
    plan: Plan | None = field(repr=False)

    @property
    def converged(self) -> bool:
        """Whether every rescaled layer reached unit variance within the tolerance."""
        return all(layer.converged for layer in self.layers)

    def table(self) -> Table:
        """The layers as a reporting table."""
        columns = (
            Column("parameter", kind="code", keep=9),
            Column("std before", "right", "number", 8),
            Column("std after", "right", "number", 8),
            Column("iterations", "right", "number", 5),
        )
        rows = [(layer.name, layer.std_before, layer.std_after, layer.iterations) for layer in self.layers]
        notes = [f"{name}: {reason}" for name, reason in self.skipped.items()]
        return Table("LSUV", columns, rows, note="; ".join(notes))


@argued
def lsuv_(
    model: nn.Module,
    batch: Any,
    *,
    tolerance: float = 0.01,
    max_iterations: int = 10,
    start: Any = "orthogonal",
    seed: int = 0,
) -> LsuvResult:
    """Layer-sequential unit-variance initialization, for any model whose forward runs.

    The start is written first. Then one forward pass is made over the batch; at each first use of a weight, in the
    order of the forward pass, W ← W / std(y) until |Var(y) − 1| ≤ tolerance for the operation's output y, and the pass
    goes on with the corrected y. Shared weights are set at their first use; packed weights (q/k/v, LSTM gates) block by
    block. Dropout is off; batch norms use the batch. Frozen parameters, and those that a parametrization computes a
    weight from, are kept and said to be. No global random state is read or moved.

    Args:
        model: any module with materialised parameters.
        batch: inputs for one forward pass: a tensor, a tuple of positional arguments or a dict of keyword arguments.
        tolerance: allowed distance of the variance from 1, greater than 0.
        max_iterations: most rescalings of one weight, at least 1.
        start: what to write first (anything `initlab.init_` takes), or None for the weights as they are.
        seed: the start's seed.

    Returns:
        `LsuvResult`: std before and after and the iterations of each layer, and what was left alone and why.

    Raises:
        InputError: a bad argument, a batch with NaN or no rows, a forward that raises, an output that is not finite;
            the parameters are then as they were.

    Source: Mishkin & Matas 2016, All you need is a good init, algorithm 1.

    >>> import initlab
    >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> result = initlab.fit.lsuv_(net, torch.linspace(-1, 1, 512).reshape(64, 8))
    >>> [layer.name for layer in result.layers], result.converged
    (['0.weight', '2.weight'], True)
    """
    module = check_materialised(model, parameters=True)
    args, kwargs = batch_for(module, batch)
    allowed = finite_number("tolerance", tolerance, low=1e-6)
    most = whole_number("max_iterations", max_iterations)
    number = seed_number(seed)
    with kept_on_failure(module), measuring(module):
        plan = started(module, start, args, kwargs, number)
        tuning = _Tuning(geometry_of(module), allowed, most)
        with watched(module, tuning.handle) as watch:
            tuning.watch = watch
            run_model(module, args, kwargs)
        done = {layer.name.partition("[")[0] for layer in tuning.layers}
        return LsuvResult(tuple(tuning.layers), watch.skipped(done, tuning.reasons), plan)


class _Tuning:
    """The state of one pass: which weights are done, and how."""

    def __init__(self, info: dict[str, ParameterInfo], tolerance: float, most: int) -> None:
        self.info = info
        self.tolerance = tolerance
        self.most = most
        self.layers: list[LsuvLayer] = []
        self.reasons: dict[str, str] = {}
        self.watch: Watch

    def handle(self, call: Call) -> Tensor:
        reason = self._why_not(call)
        if reason:
            self.reasons[call.name] = reason
            return call.output
        self.reasons.pop(call.name, None)
        self.watch.settle(call.weight)
        blocks = self._blocks(call)
        befores = [_std(part, call.name) for part in _parts(call.output, blocks, call.axis)]
        output, counts = call.output, [0] * len(befores)
        for _ in range(self.most):
            stds = [_std(part, call.name) for part in _parts(output, blocks, call.axis)]
            open_blocks = [i for i, std in enumerate(stds) if abs(std * std - 1) > self.tolerance and std > 0]
            if not open_blocks:
                break
            self._rescale(call, blocks, stds, open_blocks)
            counts = [count + (i in open_blocks) for i, count in enumerate(counts)]
            output = call.again()
        self._note(call, blocks, befores, [_std(p, call.name) for p in _parts(output, blocks, call.axis)], counts)
        return output

    def _why_not(self, call: Call) -> str:
        if call.name in self.watch.looked_up:
            return "read as an embedding before: kept as the start drew it"
        if call.weight.ndim < 2 and not call.whole:
            return "used element by element"
        leaf = call.name.rpartition(".")[2]
        info = self.info.get(call.name)
        if (
            info is not None
            and info.geometry is not None
            and info.geometry.kind == "recurrent"
            and leaf.startswith(_STATE)
        ):
            return "carries a recurrent state: kept as the start drew it (orthogonal keeps the state's length)"
        if not call.output.is_floating_point():
            return "its output is not a floating-point signal"
        if float(call.output.std(correction=0)) == 0:
            return "its output is constant on this batch"
        return ""

    def _blocks(self, call: Call) -> tuple[tuple[int, str], ...]:
        """(size, label) of the packed blocks along the output axis; one unnamed block for everything else."""
        info = self.info.get(call.name)
        packing = None if info is None or info.geometry is None else info.geometry.packing
        units = call.output.shape[call.axis] if call.output.ndim else 1
        labels = () if packing is None else packing.labels or tuple(str(i) for i in range(len(packing.sizes)))
        if packing is None or not call.whole or sum(packing.sizes) != units or call.unit_axis is None:
            return ((units, self._label_of_part(call, labels)),)
        return tuple(zip(packing.sizes, labels, strict=True))

    def _label_of_part(self, call: Call, labels: tuple[str, ...]) -> str:
        """The packed block that is being used alone, as the chunks of a q/k/v projection are; "" for a whole weight."""
        if call.whole:
            return ""
        share = call.first / max(1, call.of)
        return labels[int(share * len(labels))] if labels else f"from element {call.first}"

    def _rescale(self, call: Call, blocks: tuple[tuple[int, str], ...], stds: list[float], which: list[int]) -> None:
        if len(blocks) == 1:
            call.scale(1 / stds[0])
            return
        factors = torch.ones(sum(size for size, _ in blocks), dtype=call.weight.dtype, device=call.weight.device)
        for i, part in enumerate(torch.split(factors, [size for size, _ in blocks])):
            if i in which:
                part.fill_(1 / stds[i])
        call.scale_units(factors)

    def _note(self, call: Call, blocks: Any, befores: list[float], afters: list[float], counts: list[int]) -> None:
        for (_, label), before, after, count in zip(blocks, befores, afters, counts, strict=True):
            name = f"{call.name}[{label}]" if label else call.name
            close = abs(after * after - 1) <= self.tolerance
            self.layers.append(LsuvLayer(name, before, after, count, close))


def _parts(output: Tensor, blocks: tuple[tuple[int, str], ...], axis: int) -> tuple[Tensor, ...]:
    return (output,) if len(blocks) == 1 else torch.split(output, [size for size, _ in blocks], dim=axis)


def _std(values: Tensor, name: str) -> float:
    std = float(values.float().std(correction=0)) if values.numel() else math.nan
    if not math.isfinite(std):
        raise InputError(f"the output of {name!r} is not finite on this batch (std {std}); scale the inputs first")
    return std
