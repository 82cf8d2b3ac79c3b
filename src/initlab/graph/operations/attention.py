"""Attention: the softmax that makes weights of scores, the average that they make, and whole layers in one call."""

from __future__ import annotations

from dataclasses import replace

from initlab.graph.arrivals import feed_of
from initlab.graph.flow import Flow
from initlab.graph.operations.op import Op
from initlab.graph.recording import Operation, Ref
from initlab.graph.signals import Signal
from initlab.graph.uses import Feed


def softmaxed(flow: Flow, operation: Operation) -> Signal:
    return flow.later(operation, "softmax", operation.kind)


def attended(flow: Flow, operation: Operation) -> Signal:
    """An average of the values, which stand third."""
    carried = flow.carried(operation)
    return flow.averaged(operation, carried[min(2, len(carried) - 1)][1])


def attention_layer(flow: Flow, operation: Operation) -> list[Signal]:
    """Its output projection gives a unit signal; the second output is the attention weights."""
    made = flow.fresh(operation, 1.0, 0.0, "weight", "attention_layer")
    return [replace(made, root=value, head=value, region=value) for value in operation.outputs]


_READS = {
    "in_proj_weight": (0, "query"),
    "q_proj_weight": (0, "query"),
    "k_proj_weight": (1, "key"),
    "v_proj_weight": (2, "value"),
}


def part(flow: Flow, operation: Operation, name: str, source: Signal | None) -> tuple[str, Feed | None]:
    """A parameter's role and feed in a whole layer."""
    leaf = name.rpartition(".")[2]
    if leaf in _READS:
        item = operation.argument(*_READS[leaf])
        return "weight", feed_of(flow, flow.signals.get(item.value) if isinstance(item, Ref) else None)
    out = operation.argument(11, "out_proj_weight")
    if isinstance(out, Ref) and flow.value(out.value).name == name:
        return "weight", Feed("attention", None, 1.0, operation.where, "attention", "positions taken as alike")
    return ("bias", None) if leaf in ("in_proj_bias", "bias") else ("other", None)


OPS = (
    Op(("softmax",), softmaxed, names=("special_softmax", "safe_softmax"), logits=True, mixes=True),
    Op(("log_softmax",), softmaxed, logits=True, mixes=True),
    Op(("softmin", "gumbel_softmax", "sparsemax"), softmaxed, mixes=True),
    Op(("scaled_dot_product_attention", "flash_attn_func", "flex_attention"), attended, attends=True),
    Op(("multi_head_attention_forward",), attention_layer, layer=part, units=0),
)
