"""Means, softmaxes and activations that a jaxpr spells out, put back as one operation each; dead steps dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from torch.nn import functional as F

from initlab.integrations.extras import needed
from initlab.integrations.jax.functions import Functions
from initlab.integrations.jax.program import Atom, Const, Program, Step

jax = needed("jax", "jax")

_STILL = frozenset({"reshape", "broadcast_in_dim", "stop_gradient", "squeeze", "expand_dims", "copy"})


def simplified(program: Program) -> Program:
    """The program with its patterns named, and without the steps that nothing reads."""
    maker = {output: step for step in program.steps for output in step.outputs}
    steps, functions = [], Functions(program.shapes)
    for step in program.steps:
        named = next(filter(None, (pattern(step, maker) for pattern in PATTERNS)), step)
        named = _turned_product(named, maker, program.shapes) or named
        named = _spread_by_itself(named, maker, program.shapes)
        named = functions.named(named)
        maker.update(dict.fromkeys(named.outputs, named))
        steps.append(named)
    for step in steps:
        _guarded(step, maker)
    needed = {atom for atom in program.outputs if isinstance(atom, int)}
    alive = []
    for step in reversed(steps):
        if any(output in needed for output in step.outputs):
            needed.update(step.values())
            alive.append(step)
    return replace(program, steps=alive[::-1])


Makers = dict[int, Step]


def _made(atom: Atom, maker: Makers, *kinds: str) -> Step | None:
    """The step of one of these kinds that made a value, past what only moves it."""
    step = maker.get(atom) if isinstance(atom, int) else None
    while step is not None and step.kind not in kinds and _passes(step):
        first = next(step.values(), None)
        step = None if first is None else maker.get(first)
    return step if step is not None and step.kind in kinds else None


def _passes(step: Step) -> bool:
    """Whether a step leaves its one value's numbers as they are."""
    bounded = step.kind == "max" and any(isinstance(a, Const) and a.scalar() == float("-inf") for a in step.inputs)
    return step.kind in _STILL or bounded


def _mean(step: Step, maker: Makers) -> Step | None:
    """sum / n over n elements."""
    if step.kind not in ("div", "mul") or len(step.inputs) != 2 or not isinstance(step.inputs[1], Const):
        return None
    total = _made(step.inputs[0], maker, "reduce_sum", "reduce_window_sum")
    number = step.inputs[1].scalar()
    if total is None or not number:
        return None
    ratio = number if step.kind == "div" else 1 / number
    if abs(ratio - total.count) > 1e-6 * total.count:
        return None
    kind = "mean" if total.kind == "reduce_sum" else "window_mean"
    return replace(step, kind=kind, params=total.params, inputs=total.inputs, primitive=None)


def _softmax(step: Step, maker: Makers) -> Step | None:
    """exp(x) / Σ exp(x) along an axis; x − max(x) is x."""
    if step.kind != "div":
        return None
    top, total = _made(step.inputs[0], maker, "exp"), _made(step.inputs[1], maker, "reduce_sum")
    if (
        top is None
        or total is None
        or _made(total.inputs[0], maker, "exp") is not top
        or len(total.params["axes"]) != 1
    ):
        return None
    return replace(step, kind="softmax", params={"axis": total.params["axes"][0]}, inputs=[_unshifted(top, maker)])


def _log_softmax(step: Step, maker: Makers) -> Step | None:
    """x − log Σ exp(x)."""
    if step.kind != "sub":
        return None
    log = _made(step.inputs[1], maker, "log")
    total = None if log is None else _made(log.inputs[0], maker, "reduce_sum")
    top = None if total is None else _made(total.inputs[0], maker, "exp")
    if total is None or top is None or top.inputs[0] != step.inputs[0] or len(total.params["axes"]) != 1:
        return None
    return replace(step, kind="log_softmax", params={"axis": total.params["axes"][0]}, inputs=[_unshifted(top, maker)])


def _unshifted(top: Step, maker: Makers) -> Atom:
    """x where exp is taken of x − max(x)."""
    shifted = maker.get(top.inputs[0]) if isinstance(top.inputs[0], int) else None
    if shifted is not None and shifted.kind == "sub":
        largest = _made(shifted.inputs[1], maker, "reduce_max")
        if largest is not None and largest.inputs[0] == shifted.inputs[0]:
            return shifted.inputs[0]
    return top.inputs[0]


def _guarded(step: Step, maker: Makers) -> None:
    """max(0, v) below a root, v a variance that rounding may take below zero, is no activation."""
    inner = _made(step.inputs[0], maker, "add") if step.kind in ("sqrt", "rsqrt") else None
    if inner is None or not any(isinstance(atom, Const) for atom in inner.inputs):
        return
    least = _made(next(inner.values()), maker, "max", "function")
    if least is None:
        return
    if least.params.get("function") is F.relu or (least.kind == "max" and _scalar_in(least) == 0):
        value, tiny = next(least.values()), float(jax.numpy.finfo(least.dtypes[0]).tiny)  # zero would be a relu's
        least.kind, least.params, least.inputs = "clamp", {}, [Const(tiny), value, Const(math.inf)]


def _scalar_in(step: Step) -> float | None:
    return next((atom.scalar() for atom in step.inputs if isinstance(atom, Const)), None)


def _turned_product(step: Step, maker: Makers, shapes: Mapping[int, tuple[int, ...]]) -> Step | None:
    """(W xᵀ)ᵀ is x Wᵀ: what `vmap` makes of a layer of one sample, whose units would lie on the samples' axis."""
    made = maker.get(step.inputs[0]) if step.kind == "transpose" and isinstance(step.inputs[0], int) else None
    if made is None or made.kind != "dot_general" or len(made.outputs) != 1:
        return None
    sums, batch = made.params["dimension_numbers"]
    order, rank = tuple(int(axis) for axis in step.params["permutation"]), len(made.shapes[0])
    own = len(shapes[made.inputs[1]] if isinstance(made.inputs[1], int) else made.inputs[1].array.shape) - len(sums[1])
    if any(batch) or order != (*range(rank - own, rank), *range(rank - own)):
        return None
    turned = {**made.params, "dimension_numbers": (tuple(sums[::-1]), tuple(batch[::-1]))}
    return replace(step, kind="dot_general", params=turned, inputs=made.inputs[::-1], scope=made.scope, primitive=None)


_BROADCASTS = frozenset({"add", "sub", "mul", "div", "max", "min", "select_n"})


def _spread_by_itself(step: Step, maker: Makers, shapes: Mapping[int, tuple[int, ...]]) -> Step:
    """Operands that were only given leading axes, as a bias is, without that: torch's operations spread them."""
    if step.kind not in _BROADCASTS:
        return step
    inputs = [_narrow(atom, maker, shapes) for atom in step.inputs]
    wide = any(isinstance(atom, int) and shapes[atom] == step.shapes[0] for atom in inputs)
    return replace(step, inputs=inputs) if wide and inputs != step.inputs else step


def _narrow(atom: Atom, maker: Makers, shapes: Mapping[int, tuple[int, ...]]) -> Atom:
    step = maker.get(atom) if isinstance(atom, int) else None
    if step is None or step.kind not in ("reshape", "broadcast_in_dim") or not isinstance(step.inputs[0], int):
        return atom
    before, after = shapes[step.inputs[0]], step.shapes[0]
    lead = len(after) - len(before)
    if lead <= 0 or not before or after[lead:] != before:
        return atom
    if step.kind == "reshape":
        return step.inputs[0] if set(after[:lead]) == {1} else atom
    trailing = tuple(int(place) for place in step.params["broadcast_dimensions"]) == tuple(range(lead, len(after)))
    return _narrow(step.inputs[0], maker, shapes) if trailing else atom


PATTERNS: tuple[Callable[[Step, Makers], Step | None], ...] = (_mean, _softmax, _log_softmax)
