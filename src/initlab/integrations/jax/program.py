"""A jaxpr as a straight line: calls inlined, constants computed, loops unrolled, known branches taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from initlab.integrations.extras import needed

jax = needed("jax", "jax")

MOST_STEPS = 100_000  # steps of unrolled loops


@dataclass(frozen=True)
class Const:
    """An input of a step that is known."""

    value: Any

    @property
    def array(self) -> np.ndarray[Any, Any]:
        return np.asarray(self.value)

    def scalar(self) -> float | int | bool | None:
        """Its one number, where all of its elements are the same."""
        array = self.array
        if array.size == 0 or (array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16"):
            return None
        first = array.reshape(-1)[0]
        if array.size > 1 and not bool((array == first).all()):
            return None
        return first.item() if array.dtype.name != "bfloat16" else float(first)


Atom = int | Const


@dataclass
class Step:
    """One primitive applied to values and constants.

    Args:
        kind: the primitive's name.
        params: its parameters.
        inputs: numbers of values, and constants.
        outputs: the numbers of what it makes.
        scope: the names of the scopes that it stands in, outermost first.
        primitive: the primitive, for what is left to jax.
        shapes: of its outputs.
        dtypes: of its outputs.
        count: for a sum, how many elements go into each.
    """

    kind: str
    params: dict[str, Any]
    inputs: list[Atom]
    outputs: list[int]
    scope: tuple[str, ...] = ()
    primitive: Any = None
    shapes: tuple[tuple[int, ...], ...] = ()
    dtypes: tuple[Any, ...] = ()
    count: int = 0

    def values(self) -> Iterator[int]:
        return (atom for atom in self.inputs if isinstance(atom, int))


@dataclass
class Program:
    """The steps in order.

    Args:
        inputs: the numbers of the arguments.
        outputs: what is returned.
        steps: in order; each reads what came before it.
        shapes: of every value.
    """

    inputs: list[int]
    outputs: list[Atom]
    steps: list[Step]
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)


def program_of(closed: Any) -> Program:
    """A `ClosedJaxpr` as a program."""
    line = _Line()
    inputs: list[Atom] = [line.new(var.aval) for var in closed.jaxpr.invars]
    outputs = line.inlined(closed.jaxpr, closed.consts, inputs, ())
    return Program([atom for atom in inputs if isinstance(atom, int)], outputs, line.steps, line.shapes)


# What calls a jaxpr: the parameter that holds it.
_CALLS = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "remat": "jaxpr",
    "checkpoint": "jaxpr", "remat2": "jaxpr", "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr", "custom_lin": "call_jaxpr",
}  # fmt: skip


class _Line:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.shapes: dict[int, tuple[int, ...]] = {}

    def new(self, aval: Any) -> int:
        self.shapes[len(self.shapes)] = tuple(aval.shape)
        return len(self.shapes) - 1

    def inlined(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Atom], scope: tuple[str, ...]) -> list[Atom]:
        """Adds the steps of a jaxpr; returns its outputs."""
        known: dict[Any, Atom] = dict(zip(jaxpr.invars, inputs, strict=True))
        known.update({var: Const(value) for var, value in zip(jaxpr.constvars, consts, strict=True)})

        def read(var: Any) -> Atom:
            return Const(var.val) if hasattr(var, "val") else known[var]

        for eqn in jaxpr.eqns:
            made = self._equation(eqn, [read(var) for var in eqn.invars], scope)
            known.update(zip(eqn.outvars, made, strict=True))
        return [read(var) for var in jaxpr.outvars]

    def _equation(self, eqn: Any, inputs: list[Atom], outer: tuple[str, ...]) -> list[Atom]:
        kind = eqn.primitive.name
        scope = (*outer, *(str(part.name) for part in eqn.source_info.name_stack.stack if hasattr(part, "name")))
        if kind in _CALLS and _CALLS[kind] in eqn.params:
            inner = eqn.params[_CALLS[kind]]
            jaxpr, consts = (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())
            return self.inlined(jaxpr, consts, inputs, scope)
        if all(isinstance(atom, Const) for atom in inputs):
            return _computed(eqn, inputs)
        if kind == "cond" and isinstance(inputs[0], Const):
            branch = eqn.params["branches"][int(inputs[0].array)]
            return self.inlined(branch.jaxpr, branch.consts, inputs[1:], scope)
        if kind == "scan" and self._unrolls(eqn):
            return self._unrolled(eqn, inputs, scope)
        return self.add(kind, eqn.params, inputs, [var.aval for var in eqn.outvars], scope, eqn.primitive)

    def add(
        self, kind: str, params: dict[str, Any], inputs: list[Atom], avals: Sequence[Any], scope: tuple[str, ...],
        primitive: Any = None,
    ) -> list[Atom]:  # fmt: skip
        """Adds one step; returns what it makes."""
        outputs = [self.new(aval) for aval in avals]
        shapes, dtypes = tuple(tuple(aval.shape) for aval in avals), tuple(aval.dtype for aval in avals)
        count = 0
        if kind == "reduce_sum" and isinstance(inputs[0], int):
            count = math.prod(self.shapes[inputs[0]][axis] for axis in params["axes"])
        elif kind == "reduce_window_sum":
            count = math.prod(params["window_dimensions"])
        self.steps.append(Step(kind, dict(params), inputs, outputs, scope, primitive, shapes, dtypes, count))
        return list(outputs)

    def _unrolls(self, eqn: Any) -> bool:
        return bool(eqn.params["length"] * max(1, len(eqn.params["jaxpr"].jaxpr.eqns)) <= MOST_STEPS)

    def _unrolled(self, eqn: Any, inputs: list[Atom], scope: tuple[str, ...]) -> list[Atom]:
        """The loop's body once for each turn, its slices taken and its results stacked."""
        given, body = eqn.params, eqn.params["jaxpr"]
        consts = inputs[: given["num_consts"]]
        carry = inputs[given["num_consts"] : given["num_consts"] + given["num_carry"]]
        rows = inputs[given["num_consts"] + given["num_carry"] :]
        row_avals = body.in_avals[given["num_consts"] + given["num_carry"] :]
        made: list[list[Atom]] = []
        turns = range(given["length"])
        for turn in reversed(turns) if given["reverse"] else turns:
            now = [self._row(atom, turn, aval, scope) for atom, aval in zip(rows, row_avals, strict=True)]
            out = self.inlined(body.jaxpr, body.consts, [*consts, *carry, *now], scope)
            carry = out[: given["num_carry"]]
            made.append(out[given["num_carry"] :])
        if given["reverse"]:
            made.reverse()
        avals = [var.aval for var in eqn.outvars[given["num_carry"] :]]
        stacked = [
            self.add("stack_rows", {}, [row[place] for row in made], [aval], scope)[0]
            for place, aval in enumerate(avals)
        ]
        return [*carry, *stacked]

    def _row(self, atom: Atom, turn: int, aval: Any, scope: tuple[str, ...]) -> Atom:
        if isinstance(atom, Const):
            return Const(atom.value[turn])
        return self.add("row", {"index": turn}, [atom], [aval], scope)[0]


def _computed(eqn: Any, inputs: list[Atom]) -> list[Atom]:
    """The outputs of an equation whose inputs are all known."""
    with jax.ensure_compile_time_eval():
        made = eqn.primitive.bind(*(atom.value for atom in inputs if isinstance(atom, Const)), **eqn.params)
    return [Const(value) for value in (made if eqn.primitive.multiple_results else [made])]
