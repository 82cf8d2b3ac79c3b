"""The scheme that a fitted law is: of the catalogue, a number that models use, or one over a root of the depth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from initlab.errors import InputError
from initlab.planning.audit.structure import Structure
from initlab.planning.memory.fitted import KURTOSIS, FittedLaw, family_of, relative_error
from initlab.reporting import format_number
from initlab.sampling.laws import Law
from initlab.sampling.truncation import cut_moments
from initlab.schemes import Geometry, get_scheme, list_schemes

# Standard deviations that are written into models, most usual first.
NUMBERS = (0.02, 0.01, 1.0, 0.05, 0.1, 0.001, 0.006, 0.5, 0.2, 0.03, 0.04, 0.015, 0.005, 0.002, 0.008, 0.025, 0.0001)
# A uniform law is written by its bound, never by its std.
BOUNDS = {f"uniform(low=-{number:g}, high={number:g})": number for number in NUMBERS}
_ERRORS = 4.0  # standard errors within which a std counts as met
_ROUNDING = 2e-4  # what rounding to bfloat16 may change a std by
_ROUNDED = 2**-8  # and one value
_RARE = ("siren", "small_init", "gan_normal")  # schemes that few models use
_NUMBERED = ("normal", "uniform", "truncated_normal", "constant")  # whose law is a number's, and no rule of fans
_LABELS = {"torch_default": "torch_default (he_uniform, a=√5)"}


@dataclass(frozen=True)
class Named:
    """A scheme's name.

    Args:
        scheme: the likeliest.
        also: others that the values fit as well.
        sure: how likely the first is among them, in [0, 1].
    """

    scheme: str
    also: tuple[str, ...] = ()
    sure: float = 1.0


@dataclass(frozen=True)
class _Candidate:
    label: str
    family: str
    std: float
    weight: float  # how usual it is, beside the others


def name_of(law: FittedLaw, structure: Structure, geometry: Geometry | None, depth: int) -> Named:
    """The scheme whose law this is.

    A scheme is met where the fitted std lies within four standard errors of its own, std · √((κ − 1) / 4n) for n values
    of kurtosis κ, a uniform one where the extremes lie as near below its bound; of several the likeliest by distance
    and by how usual it is comes first.

    Args:
        law: what the values look drawn from.
        structure: what the matrix is beyond that.
        geometry: the weight as a linear map, where it is one.
        depth: repeated layers in the model, by whose root stds are divided.
    """
    if structure.family:
        return _structured(structure)
    if law.family == "constant":
        known = {0.0: "zeros", 1.0: "ones"}
        return Named(known.get(law.mean, f"constant(value={law.mean:.4g})"))
    if law.family not in KURTOSIS:
        return Named("", sure=0.0)
    met: dict[str, tuple[float, float]] = {}
    error = law.std * (relative_error(law.family, law.count) + _ROUNDING)
    centred = abs(law.mean) <= 5 * law.std / math.sqrt(law.count)
    for candidate in _candidates(law, geometry, depth) if centred else ():
        distance = (law.std - candidate.std) / error
        if candidate.family == law.family == "uniform":
            distance = _from_bound(law, candidate.std * math.sqrt(3))
        if candidate.family == law.family and abs(distance) < _ERRORS:
            score = candidate.weight * math.exp(-0.5 * distance * distance)
            met[candidate.label] = max((score, candidate.std), met.get(candidate.label, (0.0, 0.0)))
    if not met:
        return Named(_plain(law), sure=law.sure)
    ordered = sorted(met, key=lambda label: -met[label][0])
    best = met[ordered[0]][1]
    same = sum(score for score, std in met.values() if abs(std / best - 1) < 1e-6)  # one law by several names
    return Named(ordered[0], tuple(ordered[1:]), law.sure * same / sum(score for score, _ in met.values()))


def _from_bound(law: FittedLaw, bound: float) -> float:
    """How far a uniform law's extremes are from a bound, in a normal's standard errors of the same likelihood.

    No value lies beyond the bound, and n values leave its last part g empty with a chance of (1 − g)ⁿ.
    """
    gap = 1 - max(-law.low, law.high) / bound
    return math.inf if gap < -_ROUNDED else math.sqrt(2 * law.count * max(0.0, gap - _ROUNDED))


def _structured(structure: Structure) -> Named:
    if structure.family == "sparse":
        return Named(f"sparse(sparsity={structure.sparsity:.3g})")
    if abs(structure.gain - 1) < 0.01 or structure.family == "mirrored":
        return Named(structure.family)
    return Named(f"{structure.family}(gain={structure.gain:.3g})")


def _plain(law: FittedLaw) -> str:
    mean = "" if abs(law.mean) <= 5 * law.std / math.sqrt(law.count) else f"mean={format_number(law.mean, 3)}, "
    if law.family == "uniform":
        low, high = law.bounds
        return f"uniform(low={low:.3g}, high={high:.3g})"
    return f"{law.family}({mean}std={law.std:.3g})"


def _candidates(law: FittedLaw, geometry: Geometry | None, depth: int) -> Iterator[_Candidate]:
    if geometry is not None and geometry.kind != "embedding":
        yield from _catalogue(geometry)
        yield from _fans(geometry)
    if geometry is not None and geometry.kind == "embedding":
        yield _Candidate("torch_default", "normal", 1.0, 1.0)
        yield _Candidate("normal(std=1/√dim)", "normal", 1 / math.sqrt(geometry.shape[-1]), 1.5)
    if law.family == "uniform":
        for label, bound in BOUNDS.items():
            yield _Candidate(label, "uniform", bound / math.sqrt(3), 0.5)
        return
    numbers = f"{law.family}({{}})"
    for number in NUMBERS:
        yield _Candidate(numbers.format(f"std={number:g}"), law.family, number, 2.0)
        if depth > 1:
            for words, divisor in ((f"2·{depth}", 2 * depth), (f"{depth}", depth)):
                label = numbers.format(f"std={number:g}/√({words})")
                yield _Candidate(label, law.family, number / math.sqrt(divisor), 0.5)
    for number in NUMBERS if law.family == "truncated_normal" else ():
        # torch states the std before the cut
        after = number * math.sqrt(cut_moments(-2.0, 2.0)[1])
        yield _Candidate(f"trunc_normal_(std={number:g}), cut at ±2 std", law.family, after, 1.0)


def _catalogue(geometry: Geometry) -> Iterator[_Candidate]:
    """Every scheme that follows from the layer's fans alone."""
    for name in list_schemes():
        if name in _NUMBERED:
            continue
        law = _law(name, geometry)
        if law is not None and math.isfinite(law.std_of(geometry.shape)):
            std = law.std_of(geometry.shape)
            yield _Candidate(_LABELS.get(name, name), family_of(law), std, 1.0 if name in _RARE else 4.0)


def _law(name: str, geometry: Geometry, **arguments: object) -> Law | None:
    try:
        return get_scheme(name, **arguments).law(geometry)
    except InputError:
        return None


def _fans(geometry: Geometry) -> Iterator[_Candidate]:
    """He's schemes by the other fan, and by torch's own idea of the fans, which is not always the layer's."""
    for name in ("he_normal", "he_uniform"):
        for mode in ("fan_out", "fan_avg"):
            law = _law(name, geometry, mode=mode)
            if law is not None:
                yield _Candidate(f"{name}(mode={mode})", family_of(law), law.std_of(geometry.shape), 1.5)
    if len(geometry.shape) < 2:
        return
    field = math.prod(geometry.shape[2:])
    theirs = Geometry(geometry.shape, float(geometry.shape[1] * field), float(geometry.shape[0] * field))
    if theirs.fan_in == geometry.fan_in and theirs.fan_out == geometry.fan_out:
        return
    for name in ("xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "lecun_normal"):
        law = _law(name, theirs)
        if law is not None:
            label = f"{name}, by torch's fans {theirs.fan_in:g} and {theirs.fan_out:g}"
            yield _Candidate(label, family_of(law), law.std_of(geometry.shape), 1.5)


def depth_of(names: Iterable[str]) -> int:
    """How many repeated layers a model has: the longest run of numbered siblings among parameter names.

    >>> depth_of(["h.0.w", "h.1.w", "h.2.w", "head.w"])
    3
    """
    seen: dict[str, set[int]] = {}
    for name in names:
        parts = name.split(".")
        for place, part in enumerate(parts):
            if part.isdigit() and place + 1 < len(parts):
                seen.setdefault(".".join(parts[:place]), set()).add(int(part))
    return max((len(numbers) for numbers in seen.values()), default=1)
