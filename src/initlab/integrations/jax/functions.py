"""Activation functions that a jaxpr spells out in many steps, known by what they compute, not by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from initlab.integrations.extras import needed
from initlab.integrations.jax.program import Atom, Const, Step

jax = needed("jax", "jax")

LONGEST = 24  # steps of one function
# Beyond 6 too, where a relu and a relu6 part.
_GRID = np.concatenate([np.linspace(-6.0, 6.0, 97), [-20.0, -9.0, 9.0, 20.0]]).astype(np.float32)
_CLOSE = 2e-5  # float32 rounding of values up to 20

FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu, tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,
    "elu": F.elu,
    "selu": F.selu,
    "mish": F.mish,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "leaky_relu, 0.2": partial(F.leaky_relu, negative_slope=0.2),
    "leaky_relu, 0.3": partial(F.leaky_relu, negative_slope=0.3),
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
}
ELEMENTWISE = frozenset(
    {
        "add", "sub", "mul", "div", "neg", "exp", "exp2", "log", "log1p", "expm1", "tanh", "logistic", "erf", "erfc",
        "sqrt", "rsqrt", "square", "integer_pow", "pow", "abs", "sign", "max", "min", "clamp", "select_n", "gt", "ge",
        "lt", "le", "eq", "ne", "and", "or", "not", "convert_element_type", "is_finite",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """The steps by which a value follows from one other value, number by number."""

    root: int
    steps: tuple[Step, ...] = ()


class Functions:
    """Looks at steps in order, and finds those where a known function is complete."""

    def __init__(self, shapes: Mapping[int, tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.chains: dict[int, Chain] = {}

    def named(self, step: Step) -> Step:
        """The step as one call of a known function of the chain's root; itself where it ends none."""
        chain = self._chain(step)
        if chain is None:
            return step
        self.chains[step.outputs[0]] = chain
        if len(chain.steps) < 2 or not np.issubdtype(step.dtypes[0], np.floating):
            return step
        known = _known(chain)
        if known is None:
            return step
        return replace(step, kind="function", params={"function": known}, inputs=[chain.root], primitive=None)

    def _chain(self, step: Step) -> Chain | None:
        if step.kind not in ELEMENTWISE or len(step.outputs) != 1:
            return None
        chains = [self._of(atom) for atom in step.values()]
        roots = {chain.root for chain in chains}
        constant = all(_uniform(atom) for atom in step.inputs if isinstance(atom, Const))
        if len(roots) != 1 or not constant or self.shapes[chains[0].root] != step.shapes[0]:
            return None
        steps = dict.fromkeys(id(item) for chain in chains for item in chain.steps)
        by_id = {id(item): item for chain in chains for item in chain.steps}
        joined = sorted((by_id[key] for key in steps), key=lambda item: item.outputs[0])
        return Chain(chains[0].root, (*joined, step)) if len(joined) < LONGEST else None

    def _of(self, value: int) -> Chain:
        return self.chains.get(value, Chain(value))


def _uniform(atom: Const) -> bool:
    return atom.scalar() is not None


def _known(chain: Chain) -> Callable[[torch.Tensor], torch.Tensor] | None:
    values = _evaluated(chain)
    if values is None:
        return None
    grid = torch.from_numpy(_GRID)
    for function in FUNCTIONS.values():
        if float(np.abs(function(grid).numpy() - values).max()) < _CLOSE:
            return function
    return None


def _evaluated(chain: Chain) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    """What the chain makes of the grid; None where jax does not run it."""
    known = {chain.root: jax.numpy.asarray(_GRID)}

    def read(atom: Atom) -> object:
        if isinstance(atom, Const):
            return jax.numpy.full(_GRID.shape, atom.scalar(), np.asarray(atom.value).dtype)
        return known[atom]

    try:
        with jax.ensure_compile_time_eval():
            for step in chain.steps:
                known[step.outputs[0]] = step.primitive.bind(*(read(atom) for atom in step.inputs), **step.params)
    except (AttributeError, TypeError, ValueError, KeyError):
        return None
    made = np.asarray(known[chain.steps[-1].outputs[0]], np.float32)
    return made if bool(np.isfinite(made).all()) else None
