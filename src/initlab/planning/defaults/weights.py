"""What weights get: a gain that undoes what feeds them, unless their values or their use say otherwise."""

from __future__ import annotations

import math

from initlab.planning.choice import Choice, Options, keep
from initlab.planning.defaults.beside_frozen import adds_next_to_nothing, is_held_adapter
from initlab.planning.defaults.feature_rows import of_features
from initlab.planning.defaults.films import of_films
from initlab.planning.defaults.frequencies import of_sines
from initlab.planning.defaults.modulations import of_modulations
from initlab.planning.defaults.own_biases import adds_little_to_its_bias
from initlab.planning.defaults.own_weights import (
    around_a_number,
    made_on_purpose,
    reads_out_next_to_nothing,
    rotation_on_purpose,
    triangular_on_purpose,
    zero_on_purpose,
)
from initlab.planning.defaults.positive import of_positive
from initlab.planning.parameters.fed import Fed
from initlab.planning.parameters.names import ADAPTER_UP, HIDDEN_TO_HIDDEN
from initlab.planning.parameters.scene import Subject
from initlab.planning.reason import Reason
from initlab.planning.signals.neighbours import reads_neighbours
from initlab.planning.signals.readers import is_head
from initlab.planning.signals.recurrences import reads_itself
from initlab.planning.signals.transforms import growth_after, inverse_after
from initlab.planning.sizes.normed import sized_by_its_use
from initlab.schemes import get_scheme


def fed_weight(subject: Subject, options: Options) -> Choice:
    """Var(W) = 1 / (fan_in · E[φ(x)²]), φ being what feeds the layer."""
    if subject.kind == "recurrent" and subject.leaf.startswith(HIDDEN_TO_HIDDEN):
        return Choice(
            get_scheme("orthogonal"),
            Reason("hidden_to_hidden", "hidden to hidden: each gate orthogonal, so that the state keeps its size"),
        )
    if (choice := _adapter_or_deliberate(subject)) is not None:
        return choice
    if (
        choice := of_modulations(subject) or of_films(subject) or of_sines(subject) or of_features(subject)
    ) is not None:
        return choice
    fed = subject.fed()
    if (choice := of_positive(subject, fed.gain)) is not None:
        return choice
    if fed.reason.code == "fed_by_softmax" and len(subject.shape) == 2 and subject.shape[0] == subject.shape[1]:
        words = "mixes shares after a softmax: the identity, which leaves them shares"
        return Choice(get_scheme("identity"), Reason("mixes_shares", words))
    return _of_gain(subject, fed)


def _adapter_or_deliberate(subject: Subject) -> Choice | None:
    """What a factor of an adapter gets, and a matrix that its author set on purpose; None for every other."""
    if is_held_adapter(subject):
        words = "kept as its author made it: the adapter's second factor holds what no layer draws, a part of the model"
        return keep("own", words)
    if ADAPTER_UP.search(subject.name):
        return Choice(
            get_scheme("zeros"),
            Reason("adapter_up", "LoRA: B zero, so that the adapter adds nothing at first (Hu et al., 2021)"),
        )
    if zero_on_purpose(subject):
        what = "a gate, a router, a read-out or the end of a branch"
        return keep("zero_on_purpose", f"kept at zero, as its author made it and as other weights are not: {what}")
    if adds_next_to_nothing(subject):
        return keep("own", "kept as its author made it: with next to nothing, it ends a branch beside frozen weights")
    if adds_little_to_its_bias(subject):
        return keep(
            "own", "kept as its author made it: next to nothing beside a special bias, as other weights are not"
        )
    if reads_out_next_to_nothing(subject):
        return keep("own", "kept as its author made it: a read-out of next to nothing, as other weights are not")
    if numbers := made_on_purpose(subject):
        return keep("pattern", f"kept as its author made it: {numbers}, as the other weights are not")
    if rotation_on_purpose(subject):
        words = "kept as its author made it: a rotation, W Wᵀ = 1, as the other weights are not"
        return keep("rotation", words)
    if triangular_on_purpose(subject):
        words = "kept as its author made it: triangular, a factor of another matrix, as the other weights are not"
        return keep("pattern", words)
    if around_a_number(subject):
        return keep("own", "kept as its author made it: it makes a scale, and lies around a number of its own")
    return None


def _of_gain(subject: Subject, fed: Fed) -> Choice:
    """LeCun's law with the gain that undoes what arrives: one at most where a larger one does harm."""
    most = 1 / math.sqrt(_scaled(subject))
    if fed.gain > most and (held := _held_at_one(subject)):
        code, words = held
        words = f"gain {most:.4g}, not {fed.gain:.4g}: {words}"
        return Choice(get_scheme("lecun_normal"), Reason(code, words), gain=most)
    growth, note = _growth_after(subject), ""
    if growth != 1.0:
        note = f"; sized behind the inverse transform, which multiplies second moments by {growth:g}"
    return Choice(get_scheme("lecun_normal"), fed.reason.but(fed.reason + note), gain=fed.gain / math.sqrt(growth))


def _scaled(subject: Subject) -> float:
    """What the second moment of a weight's elements is multiplied by where they are used first."""
    return next((use.scaled for use in subject.uses if use.feeds is not None), 1.0)


def _growth_after(subject: Subject) -> float:
    graph = subject.scene.graph
    if graph is None:
        return 1.0
    inverses = [inverse_after(graph, use.operation) for use in subject.uses if use.role == "weight"]
    return growth_after(graph, inverses[0]) if len(inverses) == 1 and inverses[0] is not None else 1.0


def _held_at_one(subject: Subject) -> tuple[str, str] | None:
    """Why a weight gets gain one at most; None for most."""
    graph, applied = subject.scene.graph, [use for use in subject.uses if use.feeds is not None]
    if graph is None or not applied:
        return None
    if reads_itself(graph, applied):
        return "recurrent", "it reads what it made before, which a larger one makes grow at every step"
    if sized_by_its_use(graph, graph.value_of(subject.name)):
        return "normed", "it is divided by its own size before it is used, and the larger it is the slower it turns"
    first = applied[0].operation
    if reads_neighbours(graph, first) and not is_head(graph, first):
        return "neighbours", "it reads sums over neighbours, which a larger one fills with what all places share"
    return None
