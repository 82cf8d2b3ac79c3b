"""Roles: what a parameter is to its model, told from its layer's type and from its use in a recorded pass.

A policy gives its laws to roles. A parameter may hold several (a weight that is the read-out too); of the laws of a
policy the first whose role it holds is its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from initlab.graph import Operation, SignalGraph
from initlab.graph.once import once
from initlab.planning.parameters import residual
from initlab.planning.parameters.attended import attended
from initlab.planning.parameters.names import ADAPTER_DOWN, ADAPTER_UP, HIDDEN_TO_HIDDEN
from initlab.planning.parameters.noted import noted, used
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.parameters.structures import (
    after_attention,
    before_shuffle,
    feeds_exponent,
    feeds_sine,
    gated_values,
    gates,
    in_bottleneck,
    is_adapted,
    is_conv_bias,
    is_gated_bias,
    is_log_decay,
    is_low_rank_down,
    is_low_rank_up,
    is_prefix,
    is_skip_factor,
    is_step_bias,
    makes_prefix,
    narrows,
    scales_stream,
    widens,
)
from initlab.planning.signals.norms import is_normed
from initlab.planning.signals.readers import is_head
from initlab.planning.signals.ways import read_by, readings
from initlab.sampling import canonical_name


@dataclass(frozen=True)
class Role:
    """One role.

    Args:
        about: what a parameter of it is, as words that follow "this".
        holds: whether a parameter has it.
        recorded: whether only a recorded pass can tell.
        detail: what more there is to say of one parameter in it; "" for nothing.
    """

    about: str
    holds: Callable[[Subject], bool]
    recorded: bool = False
    detail: Callable[[Subject], str] = lambda subject: ""


def _is(role: str) -> Callable[[Subject], bool]:
    return lambda subject: subject.role == role


def _ends_branch(subject: Subject) -> bool:
    return subject.role == "weight" and subject.name in residual.projections(subject.scene).names


def _how_many(subject: Subject) -> str:
    ends = residual.projections(subject.scene)
    return f"one of {ends.count}, {ends.how}"


def _last_norm(subject: Subject) -> bool:
    return subject.role == "norm_weight" and subject.name in residual.last_norms(subject.scene)


@noted
def _reads_out(scene: Scene) -> frozenset[str]:
    return used(scene, is_head)


def _is_head(subject: Subject) -> bool:
    return subject.role == "weight" and _reads_out(subject)


def _is_tied_head(subject: Subject) -> bool:
    return subject.role == "embedding" and (subject.tied_to_output() or _reads_out(subject))


@noted
def _routes(scene: Scene) -> frozenset[str]:
    return used(scene, _chooses)


def _chooses(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output is what an operation ranks: it says where the signal goes."""

    def scores(reader: Operation) -> bool:
        traits = reader.traits
        return traits.rearranges or traits.gate or traits.logits or traits.combines == "sum"

    return any(reader.traits.ranks for reader in read_by(graph, use, scores))


def _is_conv(subject: Subject) -> bool:
    return subject.role == "weight" and subject.kind.startswith("conv")


def _is_first(subject: Subject) -> bool:
    feeds = [use.feeds for use in subject.all_uses if use.feeds is not None]
    return subject.role == "weight" and any(feed.source == "data" for feed in feeds)


def _meets(subject: Subject, kinds: tuple[str, ...]) -> bool:
    return subject.role == "other" and any(use.operation.kind in kinds for use in subject.all_uses)


def _is_position(subject: Subject) -> bool:
    return len(subject.shape) > 1 and max(subject.shape) > 1 and _meets(subject, ("add",))


def _is_token(subject: Subject) -> bool:
    return len(subject.shape) > 1 and _meets(subject, ("cat", "concat"))


def _single(subject: Subject) -> bool:
    return math.prod(subject.shape) == 1


def _is_scalar_factor(subject: Subject) -> bool:
    return _single(subject) and _meets(subject, ("mul",)) and not _scales_branch(subject)


def _is_scalar_shift(subject: Subject) -> bool:
    return (
        _single(subject)
        and subject.role in ("other", "bias")
        and bool(subject.uses)
        and (subject.uses[0].operation.kind == "add")
    )


@noted
def _ends_in_scale(scene: Scene) -> frozenset[str]:
    assert scene.graph is not None
    return frozenset(canonical_name(branch[-1]) for branch in scene.graph.residual_branches())


def _scales_branch(subject: Subject) -> bool:
    """The last parameter of a branch, which multiplies it: the α of ReZero, the γ of LayerScale."""
    return _meets(subject, ("mul",)) and _ends_in_scale(subject)


@noted
def _inside(scene: Scene) -> frozenset[str]:
    assert scene.graph is not None
    return frozenset(canonical_name(name) for branch in scene.graph.residual_branches() for name in branch)


def _in_branch(subject: Subject) -> bool:
    return subject.role == "weight" and _inside(subject)


def _outside(subject: Subject) -> bool:
    return subject.role == "weight" and subject.scene.graph is not None and not _inside(subject)


@noted
def _modulates(scene: Scene) -> frozenset[str]:
    return used(scene, _scales_norm)


def _scales_norm(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output, in pieces and plus a constant, multiplies what a norm gives (adaptive norms)."""

    def others(value: int, reader: Operation) -> list[int]:
        return [item for item in reader.inputs if item != value and graph.values[item].source == "operation"]

    def moves(value: int, reader: Operation) -> bool:
        return reader.traits.keeps != "none" or (reader.kind == "add" and not others(value, reader))

    products = (pair for pair in readings(graph, use.outputs, moves) if pair[1].kind == "mul")
    return any(is_normed(graph, other) for pair in products for other in others(*pair))


def _operand(letter: str) -> Callable[[Subject], bool]:
    def holds(subject: Subject) -> bool:
        return subject.role == "weight" and attended(subject.scene).get(subject.name, frozenset()) == {letter}

    return holds


def _is_packed(subject: Subject) -> bool:
    return subject.role == "weight" and (
        len(attended(subject.scene).get(subject.name, ())) > 1 or subject.leaf == "in_proj_weight"
    )


def _is_hidden_to_hidden(subject: Subject) -> bool:
    return subject.kind == "recurrent" and subject.leaf.startswith(HIDDEN_TO_HIDDEN)


def _is_equalised(subject: Subject) -> bool:
    """A weight that is multiplied by a number before it is used: the runtime scale of equalised rates."""
    graph, value = subject.scene.graph, subject.value
    if graph is None or value is None or subject.role != "weight":
        return False
    readers = graph.consumers(value)
    return bool(readers) and all(reader.kind in ("mul", "div") for reader in readers)


def _is_head_bias(subject: Subject) -> bool:
    return subject.role == "bias" and id(subject.module) in _head_layers(subject.scene)


@once
def _head_layers(scene: Scene) -> frozenset[int]:
    """The ids of the layers that hold read-outs."""
    return frozenset(id(subject.module) for subject in scene.subjects() if _is_head(subject))


def _adds_to_scores(subject: Subject) -> bool:
    graph = subject.scene.graph
    if graph is None or subject.role != "embedding":
        return False
    readers = (reader for use in subject.all_uses for reader in read_by(graph, use.operation, _shifts))
    return any(reader.kind == "softmax" or (reader.traits.attends and not reader.traits.norm) for reader in readers)


def _shifts(reader: Operation) -> bool:
    return reader.traits.passes or reader.traits.combines in ("sum", "choice")


ROLES: dict[str, Role] = {
    "weight": Role("a weight", _is("weight")),
    "bias": Role("a bias", _is("bias")),
    "norm_weight": Role("the scale of a norm", _is("norm_weight")),
    "norm_bias": Role("the shift of a norm", _is("norm_bias")),
    "embedding": Role("a table that is read by number", _is("embedding")),
    "recurrent_bias": Role("a bias of a recurrent layer", _is("recurrent_bias")),
    "other": Role("a parameter that no layer type explains", _is("other")),
    "branch_end": Role("the last weight of a residual branch", _ends_branch, detail=_how_many),
    "branch_end_norm": Role("the last norm of a residual branch", _last_norm),
    "head": Role("a read-out", _is_head, recorded=True),
    "tied_head": Role("a table that is the read-out too", _is_tied_head),
    "head_bias": Role("the bias of a read-out", _is_head_bias, recorded=True),
    "router": Role("a weight that chooses experts", _routes, recorded=True),
    "conv": Role("the kernel of a convolution", _is_conv),
    "first": Role("a weight that reads the data", _is_first, recorded=True),
    "position": Role("a parameter that is added to the signal", _is_position, recorded=True),
    "token": Role("a parameter that stands beside the signal", _is_token, recorded=True),
    "in_branch": Role("a weight in a residual branch", _in_branch, recorded=True),
    "outside": Role("a weight in no residual branch", _outside, recorded=True),
    "branch_scale": Role("a parameter that multiplies a residual branch", _scales_branch, recorded=True),
    "scalar_factor": Role("a single factor", _is_scalar_factor, recorded=True),
    "scalar_shift": Role("a single shift", _is_scalar_shift, recorded=True),
    "modulation": Role("a weight that makes the scale of an adaptive norm", _modulates, recorded=True),
    "query": Role("a projection to queries", _operand("query"), recorded=True),
    "key": Role("a projection to keys", _operand("key"), recorded=True),
    "value": Role("a projection to values", _operand("value"), recorded=True),
    "packed_attention": Role("queries, keys and values in one weight", _is_packed, recorded=True),
    "score_table": Role("a table that is added to attention scores", _adds_to_scores, recorded=True),
    "hidden_to_hidden": Role("a hidden-to-hidden weight", _is_hidden_to_hidden),
    "equalised": Role("a weight that is scaled when it is used", _is_equalised, recorded=True),
    "narrowing": Role("a weight that narrows a branch of two", narrows, recorded=True),
    "widening": Role("a weight that widens such a branch again", widens, recorded=True),
    "bottleneck_bias": Role("a bias beside either", in_bottleneck, recorded=True),
    "prefix": Role("a parameter whose rows stand before the data's", is_prefix, recorded=True),
    "prefix_map": Role("a weight or bias that makes such rows", makes_prefix, recorded=True),
    "feeds_sine": Role("a weight whose output a sine reads", feeds_sine, recorded=True),
    "sub_pixel": Role("a weight whose output is shuffled into pixels", before_shuffle, recorded=True),
    "gate": Role("a weight whose output is a gate", gates, recorded=True),
    "gated_value": Role("a weight whose output is gated", gated_values, recorded=True),
    "exponent": Role("a weight whose output is an exponent", feeds_exponent, recorded=True),
    "log_decay": Role("the logarithm of a state's decay", is_log_decay, recorded=True),
    "step_bias": Role("the bias of a state's step", is_step_bias, recorded=True),
    "skip_factor": Role("the factor of what goes by a state", is_skip_factor, recorded=True),
    "conv_bias": Role("the bias of a convolution", is_conv_bias, recorded=True),
    "gated_bias": Role("a bias of a recurrent layer with gates", is_gated_bias),
    "attention_out": Role("a weight that reads what attention gives", after_attention, recorded=True),
    "stream_scale": Role("a factor of a stream", scales_stream, recorded=True),
    "low_rank_up": Role("the second factor of an adapter beside a weight", is_low_rank_up, recorded=True),
    "low_rank_down": Role("the first factor of an adapter beside a weight", is_low_rank_down, recorded=True),
    "adapted": Role("a weight beside which an adapter stands", is_adapted, recorded=True),
    "adapter_up": Role("the second factor of an adapter", lambda s: bool(ADAPTER_UP.search(s.name))),
    "adapter_down": Role("the first factor of an adapter", lambda s: bool(ADAPTER_DOWN.search(s.name))),
}
