"""The bias with which an LSTM begins to remember: its forget gate's, among gates that are packed in one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.errors import InputError, finite_number
from initlab.sampling import laws
from initlab.schemes import Geometry, Scheme


def _forget_law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    packing = geometry.packing
    if packing is None or "forget" not in packing.labels:
        raise InputError(f"forget_gate needs packed LSTM gates; got a tensor of shape {geometry.shape}")
    values = [arguments["forget"] if label == "forget" else 0.0 for label in packing.labels]
    return laws.Stacked(packing.axis, packing.sizes, tuple(laws.Constant(value) for value in values), packing.labels)


def forget_scheme(forget: float) -> Scheme:
    """The scheme of a packed LSTM's bias: `forget` for the forget gate, zero for the others."""
    return Scheme(
        name="forget_gate",
        formula="b = forget for the forget gate, 0 for the other gates",
        latex=r"b_f = c, \quad b_i = b_g = b_o = 0",
        keeps="The cell state: σ(1) = 0.73 of it passes at the first step, where σ(0) would halve it.",
        why="The state after t steps is Π σ(b_f) of what went in: 0.5^t with a zero bias, 0.73^t with one.",
        source="Gers, Schmidhuber & Cummins, Learning to forget; Jozefowicz, Zaremba & Sutskever (2015), section 2",
        year=2000,
        suits=(),
        misuse="A large value keeps everything: the cell cannot forget until the bias has been unlearned.",
        arguments={"forget": forget},
        rule=_forget_law,
        checks={"forget": finite_number},
        uses="values",
    )
