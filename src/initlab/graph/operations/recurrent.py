"""Recurrent layers and cells in one call: the state once it has settled, and what feeds each weight."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np

from initlab.graph.arrivals import feed_of
from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation
from initlab.graph.signals import Signal
from initlab.graph.uses import Feed
from initlab.theory import moments


def state(flow: Flow, operation: Operation) -> list[Signal]:
    """The layer's state after many steps."""
    cell = _cell(operation)
    made = flow.fresh(operation, _read_state(operation), 0.0, "recurrent", cell, "state after many steps")
    return [replace(made, root=value, head=value, region=value) for value in operation.outputs]


def part(flow: Flow, operation: Operation, name: str, source: Signal | None) -> tuple[str, Feed | None]:
    """A parameter's role and feed: the first input weights read the input, every other weight a state."""
    leaf = name.rpartition(".")[2]
    if leaf.startswith("bias"):
        return "recurrent_bias", None
    if not leaf.startswith("weight"):
        return "other", None
    if leaf in ("weight_ih", "weight_ih_l0", "weight_ih_l0_reverse"):
        return "weight", feed_of(flow, source)
    cell = _cell(operation)
    second = _lstm(1.0) if leaf.startswith("weight_hr") else _read_state(operation)
    return "weight", Feed(cell, None, second, operation.where, "recurrent", "the layer's own state, settled")


def _read_state(operation: Operation) -> float | None:
    """E[h²] of what gates and later layers read: one behind an LSTM's projection, whose weight gives a unit signal."""
    projected = any(name.rpartition(".")[2].startswith("weight_hr") for name in operation.parameters)
    return 1.0 if projected else settled_state(_cell(operation))


def _cell(operation: Operation) -> str:
    """ "lstm", "gru", "rnn_tanh" or "rnn_relu"."""
    name = operation.name if operation.kind == "rnn_cell" else operation.kind
    return name.removesuffix("_cell")


@functools.cache
def settled_state(kind: str) -> float | None:
    """E[h²] of an LSTM, GRU, tanh or relu RNN after many steps of unit inputs, with the LSTM's forget bias
    at its usual 1 and other biases zero; None when it grows for ever.

    Inputs and state reach each gate through weights that keep their size, so a gate's pre-activation has second moment
    1 + E[h²]. LSTM: c' = σ(f) c + σ(i) tanh(g), h = σ(o) tanh(c); GRU: h' = (1 − z) n + z h; RNN: h' = φ(a). Gates and
    state are taken as independent and Gaussian.

    >>> round(settled_state("rnn_tanh"), 3)
    0.464
    """
    step = _STEPS[kind]
    state = 0.0
    for _ in range(200):
        after = step(state)
        if abs(after - state) < 1e-9:
            return after
        if after > 1e3:
            return None
        state = after
    return state


def _open_gate(x: Any) -> Any:
    return 1 / (1 + np.exp(-1 - x))


def _lstm(h: float) -> float:
    gate, cell = moments("sigmoid", 1 + h).second, moments("tanh", 1 + h).second
    forget = moments(_open_gate, 1 + h).second
    kept = gate * cell / (1 - forget)
    return gate * moments("tanh", kept).second


def _gru(h: float) -> float:
    gate, new = moments("sigmoid", 1 + h).second, moments("tanh", 1 + h).second
    return gate * new / (1 - gate)


def _tanh(h: float) -> float:
    return moments("tanh", 1 + h).second


def _relu(h: float) -> float:
    return (1 + h) / 2


_STEPS = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _tanh, "rnn_relu": _relu}


OPS = (
    Op(("lstm", "lstm_cell", "gru", "gru_cell", "rnn_tanh", "rnn_relu"), state, layer=part, units=0, recurrent=True),
    Op(("rnn_cell",), state, names=("rnn_tanh_cell", "rnn_relu_cell"), layer=part, units=0, recurrent=True),
)
