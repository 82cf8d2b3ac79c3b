"""What theory expects each layer to put out, from its weights' size and what is expected before it, for one draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from initlab.inspection.recorder import Record
from initlab.inspection.results import ParameterStats
from initlab.theory import ACTIVATIONS

Band = tuple[float, float, float]
MOST = 2_000  # layers up to which it is worked out
LEAST = 1e-3  # half-width of a band in ln: what the eps of a norm may take
SAME = 0.01  # relative difference of two second moments up to which nothing happened in between
GRID = np.linspace(-8.0, 8.0, 1601)  # a normal variable's values: the sum is exact to 1e-4 also where φ has a kink
WEIGHTS = np.exp(-(GRID**2) / 2) / float(np.exp(-(GRID**2) / 2).sum())


@dataclass(frozen=True)
class _State:
    """What is expected of a signal.

    Attributes:
        second: second moment, over draws of the weights.
        given: variance of ln of the second moment that each unit has, given the layers before.
        drawn: the same of the second moment over the units of one draw.
        band: whether it was derived, and not measured.
    """

    second: float
    given: float
    drawn: float
    band: bool = True


def predicted(records: Sequence[Record], parameters: Sequence[ParameterStats]) -> list[Band | None]:
    """(low, middle, high) of each layer's root mean square: two standard deviations of one draw about the middle.

    A matrix gives rms(W)² · fan_in · q + rms(b)², an activation E[φ(√q z)²], a norm rms(γ)² + rms(β)². Where something
    else happens in between, such as a residual sum, what was measured there is taken up. None for layers of which
    theory says nothing.

    Source: Poole et al. 2016, equation 3; Hanin & Nica 2019 for the spread of one draw.
    """
    if len(records) > MOST:
        return [None] * len(records)
    by_name = {p.name: p for p in parameters}
    states: list[_State] = []
    for record in records:
        before = _before(record, records, states)
        own = [by_name[name] for name in record.parameters if name in by_name]
        state = None if before is None else _after(record, before, own)
        states.append(state or _State(record.moments.second_moment, 0.0, 0.0, band=False))
    return [_band(state) for state in states]


def _before(record: Record, records: Sequence[Record], states: Sequence[_State]) -> _State | None:
    """What is expected of the signal that the layer reads; what was measured where theory lost it."""
    if record.origin < 0:
        return None if record.input_second is None else _State(record.input_second, 0.0, 0.0)
    origin = records[record.origin]
    if record.input_second is None:
        return states[record.origin] if record.shape == origin.shape else None
    untouched = math.isclose(record.input_second, origin.moments.second_moment, rel_tol=SAME)
    return states[record.origin] if untouched else _State(record.input_second, 0.0, 0.0)


def _after(record: Record, before: _State, own: list[ParameterStats]) -> _State | None:
    units = record.shape[record.axis % len(record.shape)]
    if not 0 < before.second < math.inf:
        return None
    if record.kind == "linear" or (record.kind.startswith("conv") and "transpose" not in record.kind):
        return _matrix(before, own, units)
    if record.kind.endswith("_norm") and record.kind != "local_response_norm":
        scale = next((p.rms**2 for p in own if p.name == record.scale), 1.0)
        return _State(scale + sum(p.rms**2 for p in own if p.name != record.scale), 0.0, 0.0)
    return _activation(record.kind, before, units) if record.activation and not own else None


def _matrix(before: _State, own: list[ParameterStats], units: int) -> _State | None:
    weights = [p for p in own if len(p.shape) > 1]
    if len(weights) != 1 or weights[0].shape[0] == 0:
        return None
    w = weights[0]
    drawn = w.rms**2 * math.prod(w.shape[1:]) * before.second
    second = drawn + sum(p.rms**2 for p in own if p is not w)
    given = before.drawn * (drawn / second) ** 2 if second > 0 else 0.0
    return _State(second, given, given + 2.0 / units)


def _activation(kind: str, before: _State, units: int) -> _State | None:
    if kind not in ACTIVATIONS:
        return None
    with np.errstate(all="ignore"):
        squares = np.asarray(ACTIVATIONS[kind](math.sqrt(before.second) * GRID), dtype=np.float64) ** 2
    second, fourth = float(WEIGHTS @ squares), float(WEIGHTS @ squares**2)
    if not 0 < second * second < math.inf or not fourth < math.inf:
        return None
    slope = float(WEIGHTS @ ((GRID**2 - 1) * squares)) / 2 / second  # d ln E[φ²] / d ln q
    return _State(second, before.given, slope**2 * before.given + max(0.0, fourth / second**2 - 1) / units)


def _band(state: _State) -> Band | None:
    if not state.band or not 0 < state.second < math.inf:
        return None
    rms = math.sqrt(state.second)
    width = math.exp(max(LEAST, math.sqrt(state.drawn)))  # two deviations of ln √q are one of ln q
    return rms / width, rms, rms * width
