"""Weights that are products of parameters (U V, U s V, A B C): the factor that is sized, and those beside it."""

from __future__ import annotations

from collections.abc import Mapping

from initlab.graph import SignalGraph, Use
from initlab.graph.traits import Traits
from initlab.planning.signals.ways import read_by
from initlab.sampling import canonical_name


def composed_of(
    graph: SignalGraph, uses: Mapping[str, list[Use]], owner: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """The factor by whose std a composed weight is sized -> the other factors.

    Keys that are made from latent vectors, whose products with queries are scores of a softmax, are no such weight.

    Args:
        graph: the recording.
        uses: by the name of an entry, its uses.
        owner: every canonical name, tied ones too -> the name of its entry.
    """
    found: dict[str, tuple[str, ...]] = {}
    factors = _factors(graph, owner)
    for name, all_uses in uses.items():
        for use in all_uses:
            if use.role == "weight" and not use.exact and name not in found and not _scores(graph, use):
                products = (factors.get(value, ()) for value in use.operation.inputs)
                names = next((each for each in products if name in each), ())
                found |= {name: tuple(other for other in names if other != name)} if len(names) > 1 else {}
    return found


def _scores(graph: SignalGraph, use: Use) -> bool:
    """Whether a softmax reads what a use makes, past numbers and masks."""
    readers = read_by(
        graph, use.operation, lambda op: op.traits.proportional or op.traits.combines in ("sum", "product")
    )
    return any(reader.kind == "softmax" for reader in readers)


def _factors(graph: SignalGraph, owner: Mapping[str, str]) -> dict[int, tuple[str, ...]]:
    """Values -> the parameters of which they are the product, each once, or of which each of the summands is that they
    are a sum or a join of; without all else, as what a norm divides."""
    known: dict[int, tuple[str, ...]] = {
        index: (owner.get(canonical_name(value.name), value.name),)
        for index, value in graph.values.items()
        if value.source == "parameter"
    }
    for operation in graph.operations:
        made = [known.get(item, ()) for item in operation.inputs if graph.values[item].source != "constant"]
        if names := _joined(operation.traits, made):
            known.update(dict.fromkeys(operation.outputs, names))
    return known


def _joined(traits: Traits, made: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The factors of what an operation makes of values with these factors."""
    if not made or not all(made):
        return ()
    if traits.combines in ("sum", "join"):
        return made[0] if all(each == made[0] for each in made) else ()
    if not (traits.combines in ("product", "contraction") or traits.proportional or traits.keeps != "none"):
        return ()
    names = tuple(sorted(name for each in made for name in each))
    return names if len(set(names)) == len(names) else ()
