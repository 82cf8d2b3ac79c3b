"""Means, softmaxes and gates that a jaxpr spells out, put back as the operation that they are; dead steps dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from initlab.integrations.jax.program import Atom, Const, Program, Step

_STILL = frozenset({"reshape", "broadcast_in_dim", "stop_gradient", "squeeze", "expand_dims", "copy"})


def simplified(program: Program) -> Program:
    """The program with its patterns named, and without the steps that nothing reads."""
    maker = {output: step for step in program.steps for output in step.outputs}
    steps = []
    for step in program.steps:
        named = next(filter(None, (pattern(step, maker) for pattern in PATTERNS)), step)
        maker.update(dict.fromkeys(named.outputs, named))
        steps.append(named)
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
    total = maker.get(step.inputs[0]) if isinstance(step.inputs[0], int) else None
    number = step.inputs[1].scalar()
    if total is None or total.kind not in ("reduce_sum", "reduce_window_sum") or not number:
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


def _silu(step: Step, maker: Makers) -> Step | None:
    """x · σ(x)."""
    if step.kind != "mul" or len(step.inputs) != 2:
        return None
    for x, gate in (step.inputs, step.inputs[::-1]):
        made = maker.get(gate) if isinstance(gate, int) else None
        if made is not None and made.kind == "logistic" and made.inputs[0] == x:
            return replace(step, kind="silu", params={}, inputs=[x])
    return None


PATTERNS: tuple[Callable[[Step, Makers], Step | None], ...] = (_mean, _softmax, _log_softmax, _silu)
