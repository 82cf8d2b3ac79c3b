"""Attention: the softmax that makes weights of scores, the average that they make, and whole layers in one call."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch

from initlab.graph.arrivals import feed_of
from initlab.graph.flow import Flow
from initlab.graph.kept import KEPT
from initlab.graph.operations.op import Op
from initlab.graph.operations.simulated import simulated, to_unit
from initlab.graph.recording import Operation, Ref
from initlab.graph.regions import settled
from initlab.graph.replay import held
from initlab.graph.signals import Signal
from initlab.graph.uses import Feed


def softmaxed(flow: Flow, operation: Operation) -> Signal:
    return flow.later(operation, "softmax", operation.kind)


def attended(flow: Flow, operation: Operation) -> Signal:
    """An average of the values, which stand third, by a softmax of scores of unit variance."""
    query, key = (
        (settled(flow, signal) for _, signal in flow.carried(operation)[:2])
        if len(flow.carried(operation)) > 2
        else (None, None)
    )
    if query and key and query.second and key.second:
        to_unit(flow, operation, query, query.second * key.second * flow.value(operation.inputs[0]).shape[-1])
    given = operation.argument(2, "value")
    found = simulated(flow, operation, given.value) if isinstance(given, Ref) and given.value in flow.signals else None
    if found is not None:
        return found
    carried = flow.carried(operation)
    values, signal = carried[min(2, len(carried) - 1)]
    shape, queries = flow.value(values).shape, flow.value(carried[0][0]).shape
    if len(shape) < 2 or len(queries) < 2:
        return flow.averaged(operation, signal, None, 1)
    mask = operation.argument(3, "attn_mask")
    scores = _masked(flow, mask, queries[-2], shape[-2], bool(operation.argument(5, "is_causal", False)))
    return flow.averaged(operation, signal, None if scores is None else sum_of_squares(scores), shape[-2])


def _masked(flow: Flow, mask: object, queries: int, keys: int, causal: bool) -> torch.Tensor | None:
    """What is added to the scores, (queries, keys); None where it cannot be told."""
    added = torch.zeros(min(queries, _MOST), keys, device="cpu")
    if causal:
        return added.masked_fill(torch.arange(keys, device="cpu") > _rows(queries)[:, None], -torch.inf)
    if not isinstance(mask, Ref):
        return added
    tensor = held(flow, mask.value)
    if tensor is None or tensor.shape[-1] != keys or not tensor.numel():
        return None
    rows = tensor.reshape(-1, keys)
    rows = rows[_rows(len(rows))]
    if tensor.dtype == torch.bool:
        return torch.zeros(rows.shape, device="cpu").masked_fill(~rows, -torch.inf)
    return rows.float()


def _rows(count: int) -> torch.Tensor:
    """All rows, or of many the middles of equal runs: the first ones of a causal mask read few keys."""
    taken = min(count, _MOST)
    return ((torch.arange(taken, device="cpu") + 0.5) * count / max(taken, 1)).long()


def sum_of_squares(added: torch.Tensor) -> float:
    """E[Σⱼ aⱼ²] of a = softmax(z + added) along the last axis, z standard normal, over the rows: e/n of n free keys."""
    question = "softmax", tuple(added.shape), hashlib.sha256(added.contiguous().numpy().tobytes()).digest()
    return KEPT.of(question, lambda: _sum_of_squares(added))


def _sum_of_squares(added: torch.Tensor) -> float:
    draws = max(1, _DRAWN // max(1, added.numel()))
    noise = torch.randn(draws, *added.shape, generator=torch.Generator(device="cpu").manual_seed(0), device="cpu")
    return float((noise + added).softmax(-1).nan_to_num().square().sum(-1).mean())


def attention_layer(flow: Flow, operation: Operation) -> list[Signal]:
    """Its output projection gives a unit signal; the second output is the attention weights."""
    made = flow.fresh(operation, 1.0, 0.0, "weight", "attention_layer")
    return [replace(made, root=value, head=value, region=value) for value in operation.outputs]


_MOST = 256  # queries of which the sum of squared weights is taken
_DRAWN = 2**17  # scores that are drawn for it

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
        return "weight", Feed("attention", None, _averaged(flow, operation), operation.where, "attention")
    return ("bias", None) if leaf in ("in_proj_bias", "bias") else ("other", None)


def _averaged(flow: Flow, operation: Operation) -> float:
    """E[y²] of the average of projected values: what positions have in common, and Σ a² of the rest."""
    queries, keys, values = (operation.argument(*_READS[f"{name}_proj_weight"]) for name in ("q", "k", "v"))
    lengths = [flow.value(item.value).shape[0] if isinstance(item, Ref) else 1 for item in (queries, keys)]
    scores = _masked(flow, operation.argument(16, "attn_mask"), lengths[0], max(lengths[1], 1), causal=False)
    signal = flow.signals.get(values.value) if isinstance(values, Ref) else None
    projected = Signal(1.0, 0.0, "weight", None, "", 0, alike=0.0 if signal is None else signal.common)
    return projected.over_positions(1.0 if scores is None else sum_of_squares(scores)).second or 1.0


OPS = (
    Op(("softmax",), softmaxed, names=("special_softmax", "safe_softmax"), logits=True, mixes=True),
    Op(("log_softmax",), softmaxed, logits=True, mixes=True),
    Op(("softmin", "gumbel_softmax", "sparsemax"), softmaxed, mixes=True),
    Op(("scaled_dot_product_attention", "flash_attn_func", "flex_attention"), attended, attends=True),
    Op(("multi_head_attention_forward",), attention_layer, layer=part, units=0),
)
