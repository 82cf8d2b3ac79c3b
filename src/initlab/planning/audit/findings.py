"""What is wrong with a start, kind by kind: one small function each, in the order of `KINDS`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from torch import nn

from initlab.errors import listed
from initlab.guest.doubles import doubled
from initlab.planning.audit.evidence import Evidence, Seen, is_number, numberless
from initlab.planning.audit.own import own_recording, own_start
from initlab.planning.audit.residual_findings import depth, depth_from_zero, wrong_projection
from initlab.planning.audit.structure import repeated_blocks
from initlab.planning.defaults.own_scales import identity_value
from initlab.planning.memory.shards import local_tensor
from initlab.planning.parameters.residual import last_norms
from initlab.planning.writing.ledger import Held, equal_sets
from initlab.reporting import format_number
from initlab.reporting.finding import Finding
from initlab.reporting.status import rank

Find = Callable[[Evidence], Iterator[Finding]]

LEADING = 16  # values whose ratios tell one random sequence from another
_FAR = 1e4  # std beyond which no start is meant
_TIED_STD = 4.0  # std of a tied table, in units of 1/√dim, from which the first logits are of no start's size


def _non_finite(evidence: Evidence) -> Iterator[Finding]:
    for one in evidence.seen:
        if one.nonfinite:
            yield Finding(
                "non-finite", "error", one.name, f"{one.nonfinite:,} of {one.values.size:,} values seen are nan or inf",
                "It was not initialised, or overflowed: draw it.",
            )  # fmt: skip


def _not_initialised(evidence: Evidence) -> Iterator[Finding]:
    """Memory as `torch.empty` gave it: values of no start's size, or denormal ones, or a few among zeros."""
    for one in evidence.seen:
        law = one.law
        if one.nonfinite or law.count < 2 or one.tensor.is_complex():
            continue
        size = max(abs(law.low), abs(law.high))
        tiny = 0 < size < 1e-30
        if size > _FAR or tiny:
            words = f"its values reach {format_number(size, 3)}, as memory that nobody wrote does"
            yield Finding("not initialised", "error", one.name, words, "Draw it: the model's own start misses it.")


def _zero(evidence: Evidence) -> Iterator[Finding]:
    """A matrix of zeros where every other of its layer's type is random: nothing passes through it."""
    by_layer: dict[tuple[str, str], list[Seen]] = {}
    for one in evidence.maps:
        by_layer.setdefault((one.start.layer, one.subject.leaf), []).append(one)
    for alike in by_layer.values():
        zero = [one for one in alike if one.law.family == "constant" and one.law.mean == 0]
        drawn = [one for one in alike if one.is_random or one.structure.family]
        if zero and len(drawn) >= 3 and len(zero) == 1 and _last(zero[0].name) == _last(drawn[0].name):
            same_place = [one for one in drawn if numberless(one.name) == numberless(zero[0].name)]
            if same_place:
                words = f"all zeros, while {len(same_place)} like it ({same_place[0].name} first) are drawn"
                yield Finding("not initialised", "error", zero[0].name, words, "Draw it as those are.")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _equal(evidence: Evidence) -> Iterator[Finding]:
    """Layers with equal weights: not those that are frozen beside trained ones, as the target of a student is, nor
    those that have equal biases alone."""
    drawn = {
        one.name: one for one in _trained(evidence) if one.is_random or one.structure.family not in ("", "identity")
    }
    together: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for names in equal_sets([Held(one.name, local_tensor(one.tensor), None) for one in drawn.values()]):
        together.setdefault(_holders(names), []).append(names)
    for holders, sets in together.items():
        if not any(sum(size > 1 for size in drawn[names[0]].start.shape) > 1 for names in sets):
            continue
        each = f", in {len(sets)} parameters each" if len(sets) > 1 else ""
        yield Finding(
            "equal", "warning", sets[0][0],
            f"{len(holders)} that are not tied hold equal values: {listed(holders)}{each}",
            "Layers whose weights are equal stay one layer where they see the same input: draw each from a stream of "
            "its own (initlab.init_, initlab.reinit_), or tie them.",
        )  # fmt: skip


def _trained(evidence: Evidence) -> list[Seen]:
    """The parameters that are trained; all of them where none is."""
    return [one for one in evidence.seen if one.tensor.requires_grad] or list(evidence.seen)


def _holders(names: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that hold equal parameters of the same name in them; the parameters themselves where there are none.

    >>> _holders(("layers.0.fc.weight", "layers.1.fc.weight"))
    ('layers.0', 'layers.1')
    """
    parts = [name.split(".") for name in names]
    shared = 0
    while all(len(p) > shared + 1 and p[-1 - shared] == parts[0][-1 - shared] for p in parts):
        shared += 1
    return tuple(".".join(p[: len(p) - shared]) for p in parts)


def _same_seed(evidence: Evidence) -> Iterator[Finding]:
    """Tensors of different shapes that begin with the same random numbers, up to their std."""
    groups: dict[tuple[float, ...], list[Seen]] = {}
    for one in evidence.seen:
        flat = local_tensor(one.tensor.detach())
        if one.is_random and flat.is_floating_point() and flat.numel() >= LEADING and abs(one.law.mean) < one.law.std:
            first = doubled((flat.flatten() if flat.is_contiguous() else flat.reshape(-1))[:LEADING])
            if float(first.abs().min()) > 0:
                ratios = (first[1:] / first[0]).tolist()
                groups.setdefault(tuple(float(f"{ratio:.2g}") for ratio in ratios), []).append(one)
    for alike in groups.values():
        shapes = {one.start.shape for one in alike}
        if len(shapes) > 1 or (len(alike) > 1 and len({round(one.law.std, 12) for one in alike}) > 1):
            names = [one.name for one in alike]
            yield Finding(
                "same seed", "warning", names[0],
                f"{len(names)} parameters begin with the same random numbers up to their std: {listed(names)}",
                "One generator was seeded anew, or one initializer object shared: draw each from its own stream.",
            )  # fmt: skip


def _repeated(evidence: Evidence) -> Iterator[Finding]:
    for one in evidence.seen:
        if one.law.family == "constant" or one.structure.family == "identity":
            continue
        found = repeated_blocks(one.tensor)
        if found is not None and one.is_random:
            axis, number = found
            yield Finding(
                "repeated blocks", "error", one.name, f"{number} equal blocks along axis {axis}",
                "Every rank drew the same shard, or every expert the same weights: draw by the global index "
                "(initlab.init_, initlab.streams).",
            )  # fmt: skip


def _norms(evidence: Evidence) -> Iterator[Finding]:
    for one in evidence.seen:
        if one.start.role == "norm_weight" and one.values.size and not one.nonfinite:
            target = identity_value(one.subject)
            if one.law.family == "constant" and (one.law.mean in (0.0, 1.0) or abs(one.law.mean - target) < 1e-3):
                continue
            if one.law.family == "constant" and evidence.scene.graph is None and _norm_wide(evidence, one):
                continue
            if one.law.family == "constant" and one.law.mean < target and one.name in last_norms(evidence.scene):
                continue  # its branch's share of the stream
            yield Finding(
                "norm not identity", "warning", one.name, f"its values are {one.law.describe()}, not {target:g}",
                "It was overwritten by a rule for weights, or is trained: set it to one.",
            )  # fmt: skip
        elif one.start.role == "norm_bias" and one.is_random:
            yield Finding(
                "norm not identity", "warning", one.name, f"its values are {one.law.describe()}, not 0",
                "It was overwritten by a rule for biases, or is trained: set it to zero.",
            )  # fmt: skip


def _norm_wide(evidence: Evidence, one: Seen) -> bool:
    """Whether every norm of the model's that stands in the same place has the same value, as one set on purpose."""
    place = numberless(one.name)
    values = {seen.law.mean for seen in evidence.seen if numberless(seen.name) == place}
    return len(values) == 1 and 0 < one.law.mean < 1


def _padding(evidence: Evidence) -> Iterator[Finding]:
    for one in evidence.seen:
        module = one.subject.module
        row = getattr(module, "padding_idx", None)
        if row is None or not isinstance(module, nn.Embedding | nn.EmbeddingBag) or one.tensor.is_meta:
            continue
        table = local_tensor(one.tensor.detach())
        if tuple(table.shape) == one.start.shape and bool(table[row].any()):
            yield Finding(
                "padding", "warning", one.name, f"row {row}, which pads, is not zero",
                "Whatever drew the table drew it too, and it takes no gradient: set it to zero after drawing.",
            )  # fmt: skip


def _missed(evidence: Evidence) -> Iterator[Finding]:
    """Layers with torch's own start where nearly all have the model's, unless that is what the model gives them."""
    maps = [one for one in evidence.maps if one.is_random and one.law.count >= 64]
    fixed = Counter(one.start.scheme for one in maps if is_number(one.start.scheme))
    default = [one for one in maps if _is_default(one) and not one.subject.tied_to_output()]
    usual, count = fixed.most_common(1)[0] if fixed else ("", 0)
    if not default or count < max(2, 2 * len(default)):
        return
    types = {one.start.layer for one in maps if one.start.scheme == usual}
    alike = [one for one in default if one.start.layer in types or one.start.role == "embedding" or _own_parameter(one)]
    given = own_start(evidence.scene.model) if alike else {}
    for one in alike:
        record = given.get(one.name)
        if record is not None and record.status == "drawn" and abs(record.std / one.law.std - 1) < 0.1:
            continue
        why = "ran before this layer was put in" if record is not None and record.calls else f"misses {one.start.layer}"
        yield Finding(
            "missed", "warning", one.name,
            f"it has torch's default, {one.law.describe()}, while {count} of {len(maps)} weights have {usual}",
            f"The model's own start {why}: draw it as the others are.",
        )  # fmt: skip


def _own_parameter(one: Seen) -> bool:
    return type(one.subject.module).__module__.split(".")[0] != "torch"


def _is_default(one: Seen) -> bool:
    names = (one.start.scheme, *one.start.also)
    if one.start.role == "embedding":
        return any(name == "normal(std=1)" for name in names)
    return any(name.startswith("torch_default") for name in names)


def _tied(evidence: Evidence) -> Iterator[Finding]:
    for one in evidence.seen:
        if one.start.role != "embedding" or not one.subject.tied_to_output() or not one.is_random:
            continue
        dim = one.start.shape[-1]
        logits = one.law.std * math.sqrt(dim) * _before_head(evidence, one)
        if logits > _TIED_STD:
            yield Finding(
                "tied embedding", "warning", one.name,
                f"std {format_number(one.law.std, 3)} in a table of {dim} columns that is also the head: the first "
                f"logits have std {format_number(logits, 3)}",
                f"Draw it with std 1/√{dim} or 0.02, or scale what the head reads.",
            )  # fmt: skip


def _before_head(evidence: Evidence, one: Seen) -> float:
    """The size of what the head reads, as recorded; 1 where nothing was."""
    graph = evidence.scene.graph or own_recording(evidence.scene.model)
    names = (*one.start.tied_to, one.name)
    uses = () if graph is None else tuple(use for name in names for use in graph.uses(name))
    fed = (use.feeds.second_moment for use in uses if use.feeds is not None and use.feeds.second_moment)
    return math.sqrt(float(next(fed, 1.0)))


KINDS: dict[str, Find] = {
    "non-finite": _non_finite,
    "not initialised": _not_initialised,
    "not initialised, among others that are": _zero,
    "repeated blocks": _repeated,
    "equal": _equal,
    "same seed": _same_seed,
    "residual scale": wrong_projection,
    "depth": depth,
    "depth from zero": depth_from_zero,
    "missed": _missed,
    "norm not identity": _norms,
    "padding": _padding,
    "tied embedding": _tied,
}


def findings_of(evidence: Evidence) -> list[Finding]:
    """Every finding that applies, most severe first, then in order."""
    with torch.no_grad():
        found = [finding for find in KINDS.values() for finding in find(evidence)]
    return sorted(found, key=lambda finding: rank(finding.severity))
