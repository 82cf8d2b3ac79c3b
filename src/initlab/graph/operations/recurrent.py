"""Recurrent layers and cells in one call: the state once it has settled, and what feeds each weight."""

from __future__ import annotations

from dataclasses import replace

from initlab.graph.arrivals import feed_of
from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation
from initlab.graph.recurrent import settled_state
from initlab.graph.signals import Signal
from initlab.graph.uses import Feed


def state(flow: Flow, operation: Operation) -> list[Signal]:
    """The layer's state after many steps."""
    cell = _cell(operation)
    made = flow.fresh(operation, settled_state(cell), 0.0, "recurrent", cell, "state after many steps")
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
    note = "the layer's own state, settled"
    return "weight", Feed(cell, None, settled_state(cell), operation.where, "recurrent", note)


def _cell(operation: Operation) -> str:
    """ "lstm", "gru", "rnn_tanh" or "rnn_relu"."""
    name = operation.name if operation.kind == "rnn_cell" else operation.kind
    return name.removesuffix("_cell")


OPS = (
    Op(("lstm", "lstm_cell", "gru", "gru_cell", "rnn_tanh", "rnn_relu"), state, layer=part, units=0),
    Op(("rnn_cell",), state, names=("rnn_tanh_cell", "rnn_relu_cell"), layer=part, units=0),
)
