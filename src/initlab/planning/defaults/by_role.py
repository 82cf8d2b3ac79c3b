"""What each kind of parameter gets where a policy says nothing else: one small function for each role."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import passed
from initlab.planning.choice import Choice, Chooser, Options, keep
from initlab.planning.defaults.affine import shifts_beside_factor
from initlab.planning.defaults.feature_rows import of_features
from initlab.planning.defaults.films import of_films
from initlab.planning.defaults.forget_gate import forget_scheme, forgets
from initlab.planning.defaults.modulations import of_modulations
from initlab.planning.defaults.own_biases import special_bias, special_gates
from initlab.planning.defaults.own_scales import adds_back, identity_value, special_scale
from initlab.planning.defaults.own_weights import table_of_zeros, zero_table
from initlab.planning.defaults.renormed import longest_std
from initlab.planning.defaults.spread import spread
from initlab.planning.memory.values import has_even_rows, holds_masks, is_finite, is_zero, made
from initlab.planning.parameters.names import ADDED, INPUT_BIAS
from initlab.planning.parameters.scene import Subject
from initlab.planning.reason import Reason
from initlab.planning.signals.alone import steps_of
from initlab.planning.signals.readers import says_where
from initlab.sampling import laws
from initlab.schemes import Geometry, Scheme, get_scheme
from initlab.schemes.scheme import Rule

UNUSED = "it is not used in the recorded pass"
EVEN_ROWS = "rows of one length, as of sines beside their cosines, and no draw"


def zero(subject: Subject, options: Options) -> Choice:
    if any(use.operation.traits.combines == "join" for use in subject.uses):
        return other(subject, options)  # a token that stands among the others, and is added to like them
    units = forgets(subject)
    asked = bool(units) and _asks_for_forgetting(options)
    if not asked and (opened := special_bias(subject)):
        return keep("special_bias", f"kept as its author made it: {opened}")
    if units and options.forget_bias:
        axis = max(range(len(subject.shape)), key=subject.shape.__getitem__)
        words = f"forget gate {options.forget_bias:g}, other gates 0 (option forget_bias)"
        return Choice(forget_scheme(options.forget_bias, axis, units), Reason("forget_gate", words))
    return of_films(subject) or Choice(get_scheme("zeros"), Reason("zero", f"{subject.role.replace('_', ' ')}: zero"))


def spread_bias(subject: Subject, options: Options) -> Choice:
    """Spread over data of few features, where nothing else is known of the bias; else as `zero`."""
    choice = zero(subject, options)
    return (spread(subject) or choice) if choice.reason.code == "zero" else choice


def one(subject: Subject, options: Options) -> Choice:
    value = identity_value(subject)
    if words := special_scale(subject, value):
        return keep("special_scale", f"kept as its author made it: {words}")
    if value != 1.0:
        words = f"norm weight: {value:.4g}, with which the scale that is made of it is one"
        return Choice(get_scheme("constant", value=value) if value else get_scheme("zeros"), Reason("one", words))
    return Choice(get_scheme("ones"), Reason("one", "norm weight: one, the normalised signal as it is"))


def recurrent_bias(subject: Subject, options: Options) -> Choice:
    """Zero, but for the LSTM's forget gate: PyTorch adds two biases, so one of them carries it."""
    packing = None if subject.geometry is None else subject.geometry.packing
    gates = () if packing is None else packing.labels
    asked = _asks_for_forgetting(options)
    if not asked and (words := special_gates(subject)):
        return keep("special_bias", f"kept as its author made it: {words}")
    if not asked and _beside_special(subject):
        words = "recurrent bias: zero (the other of its layer is as its author made it)"
        return Choice(get_scheme("zeros"), Reason("zero", words))
    if "forget" not in gates:
        return Choice(get_scheme("zeros"), Reason("zero", "recurrent bias: zero"))
    if not subject.leaf.startswith(INPUT_BIAS):
        return Choice(get_scheme("zeros"), Reason("zero", "recurrent bias: zero (b_ih holds the forget gate's)"))
    return Choice(
        forget_scheme(options.forget_bias),
        Reason("forget_gate", f"forget gate {options.forget_bias:g}, other gates 0 (option forget_bias)"),
    )


def _asks_for_forgetting(options: Options) -> bool:
    """Whether the user set the forget gates' bias: it goes before what the model was made with."""
    return options.forget_bias != Options.forget_bias


def _beside_special(subject: Subject) -> bool:
    """Whether the other of the two biases that torch's recurrent layers add is special."""
    beside = {"bias_ih": "bias_hh", "bias_hh": "bias_ih"}
    start, tail = subject.leaf[: len("bias_ih")], subject.leaf[len("bias_ih") :]
    other = f"{beside.get(start)}{tail}"
    return any(s.leaf == other and s.module is subject.module and special_gates(s) for s in subject.scene.subjects())


def embedding(subject: Subject, options: Options) -> Choice:
    """Normal; 1/√dim when the same matrix reads out; the padding row zero, as torch has it."""
    if table_of_zeros(subject):
        return Choice(get_scheme("zeros"), Reason("table_of_zeros", "a table of biases read by number: zero"))
    if zero_table(subject):
        return keep(
            "zero_on_purpose", "kept at zero, as its author made it and as other weights are not: biases by number"
        )
    if subject.slot.told(has_even_rows) or subject.slot.told(made):
        return keep("pattern", f"kept as its author made it: {subject.slot.told(made) or EVEN_ROWS}")
    if subject.tied_to_output():
        std = 1 / math.sqrt(subject.shape[-1])
        return embedding_choice(
            subject,
            std,
            Reason("tied_embedding", f"embedding that is also an output layer: std 1/√{subject.shape[-1]}"),
        )
    return embedding_choice(
        subject, options.embedding_std, Reason("embedding", f"embedding: normal, std {options.embedding_std:g}")
    )


def embedding_choice(subject: Subject, std: float, reason: Reason) -> Choice:
    longest = longest_std(subject)
    if longest is not None and longest < std:
        std, reason = longest, reason.but(f"{reason}; no larger than the look-up leaves its rows: std {longest:.4g}")
    scheme, note = padded(subject, get_scheme("normal", std=std))
    return Choice(scheme, reason.but(reason + note))


@dataclass(frozen=True)
class PaddedRule:
    """Another rule's law with one row of the table left at zero."""

    inner: Rule
    row: int

    def __call__(self, geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
        law, below = self.inner(geometry, arguments, gain), geometry.shape[0] - self.row - 1
        parts = [(size, part) for size, part in ((self.row, law), (1, laws.Constant(0.0)), (below, law)) if size]
        return laws.Stacked(0, tuple(size for size, _ in parts), tuple(part for _, part in parts))


def padded(subject: Subject, scheme: Scheme) -> tuple[Scheme, str]:
    """The scheme with the embedding's padding row left at zero, where it has one."""
    row = getattr(subject.module, "padding_idx", None)
    if row is None or not isinstance(subject.module, nn.Embedding | nn.EmbeddingBag):
        return scheme, ""

    return replace(scheme, rule=PaddedRule(scheme.rule, row)), f"; padding row {row} zero"


def other(subject: Subject, options: Options) -> Choice:
    """Parameters that no layer type explains: positions and tokens are drawn small, slopes get torch's; else kept."""
    if subject.kind == "prelu":
        return Choice(get_scheme("constant", value=0.25), Reason("prelu_slope", "PReLU slope: 0.25"))
    if subject.kind == "attention_bias":
        return Choice(get_scheme("zeros"), Reason("zero", "attention bias: zero"))
    if subject.kind == "attention_bias_kv":
        return Choice(
            get_scheme("torch_default"),
            Reason("attention_bias_kv", "key and value that attention adds: normal, as torch draws them"),
        )
    if _gates_itself(subject):
        words = "scales a signal that is added to itself, h + h·w: zero"
        return Choice(get_scheme("zeros"), Reason("gates_itself", words))
    if (choice := of_modulations(subject) or of_features(subject)) is not None:
        return choice
    if len(subject.shape) >= 2 and max(subject.shape) > 1 and (choice := _wide(subject, options)) is not None:
        return choice
    if math.prod(subject.shape) == 0:
        return keep("empty", "kept: it has no elements")
    used = _use_in_words(subject)
    if used == UNUSED and not subject.slot.told(is_finite):
        return Choice(get_scheme("zeros"), Reason("empty_memory", f"{used}, and holds nan or inf: zero"))
    if used and (numbers := subject.slot.told(made)):
        return keep("pattern", f"kept as its author made it: {numbers}; {used}")
    if used:
        return keep("own", f"kept as the model made it: {used}")
    return keep(
        "unknown_role",
        f"kept as the model made it: the role of a {len(subject.shape)}-d parameter of {_layer(subject)} is not known",
    )


def _use_in_words(subject: Subject) -> str:
    """What a parameter does in the recording; "" without one."""
    graph = subject.scene.graph
    if graph is None:
        return ""
    steps, last = steps_of(graph, subject.value)
    if not subject.uses:
        entered = last or (steps[-1] if steps else None)
        return UNUSED if entered is None else f"it enters {entered.kind}"
    through = ", ".join(step.kind for step in steps if not step.traits.passes)
    operation = subject.uses[0].operation
    where = f" at {operation.module}" if operation.module else ""
    return f"it enters {operation.kind}{where}" + (f" through {through}" if through else "")


def _wide(subject: Subject, options: Options) -> Choice | None:
    """What several numbers on more than one axis get: patterns are kept, shifts zero, positions and tokens small."""
    if numbers := subject.slot.told(made):
        return keep("pattern", f"kept as its author made it: {numbers}, and no draw")
    if subject.slot.told(has_even_rows):
        return keep("pattern", f"kept as its author made it: {EVEN_ROWS}")
    if subject.slot.told(holds_masks):
        return keep("pattern", "kept as its author made it: numbers among it forbid, as −10,000 does, and no draw")
    if shifts_beside_factor(subject):
        return Choice(get_scheme("zeros"), Reason("zero", "a shift beside a factor of its shape: zero"))
    if sum(size > 1 for size in subject.shape) == 1 and _is_added(subject) and subject.slot.told(is_zero):
        return Choice(get_scheme("zeros"), Reason("zero", "one shift for all that it is added to: zero, as made"))
    if _is_added(subject) or ADDED.search(subject.leaf):
        std = options.position_std
        return Choice(
            get_scheme("normal", std=std),
            Reason("added", f"added to the signal (positions, tokens): normal, std {std:g}"),
        )
    return None


def _gates_itself(subject: Subject) -> bool:
    if sum(size > 1 for size in subject.shape) > 1 or any(use.places for use in subject.uses):
        return False  # of numbers picked one by one each has a place of its own
    return bool(subject.uses) and subject.uses[0].operation.kind == "mul" and adds_back(subject)


def _is_added(subject: Subject) -> bool:
    graph = subject.scene.graph
    if graph is None:
        return False
    uses = [use.operation for use in graph.uses(subject.name)]
    if any(use.traits.combines == "product" for use in uses):
        return False  # its parts scale and shift: it is a function's coefficients, which are no position
    if any(use.traits.combines == "join" and _joins_data(graph, use) for use in uses):
        return False  # its rows are places of the data's own space, as inducing points are
    if not all(use.proportional for use in subject.uses) or any(says_where(graph, use) for use in uses):
        return False  # a decay, a logarithm, or a place at which a signal is read
    # what is subtracted is a centre: signals are told by it
    return any(use.traits.combines in ("sum", "join") and use.kind != "sub" for use in uses)


def _joins_data(graph: SignalGraph, join: Operation) -> bool:
    """Whether a join puts its operands beside the model's inputs as they came."""
    return any(passed(graph, value)[-1] in graph.inputs for value in join.inputs)


def _layer(subject: Subject) -> str:
    return type(subject.module).__name__


# Role -> what a parameter of that role gets; a policy always says what weights get.
DEFAULTS: dict[str, Chooser] = {
    "bias": zero,
    "norm_weight": one,
    "norm_bias": zero,
    "recurrent_bias": recurrent_bias,
    "embedding": embedding,
    "other": other,
}
