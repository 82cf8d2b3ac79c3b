"""Numbers of the loss along the first step: which rates lower it, by how much, and what that tells of the samples."""

from __future__ import annotations

import math
from collections.abc import Callable

from initlab.inspection.evidence import Evidence
from initlab.inspection.features.feature import CEILING, FLOOR, NAN, Feature, cut, log
from initlab.inspection.line import DECADES, FLAT, Line, Point


def _on_line(measure: Callable[[Evidence, Line], float]) -> Callable[[Evidence], float]:
    return lambda e: NAN if e.line is None else measure(e, e.line)


def _judged(e: Evidence, line: Line) -> Point:
    return line.at(e.step.lr)


def _first(line: Line) -> Point:
    return line.points[0]


def _window(e: Evidence, line: Line) -> float:
    return float(sum(line.decrease(p) > FLAT for p in line.points))


def _largest(e: Evidence, line: Line) -> float:
    return log(line.largest.lr * e.step.boost) if line.largest else -7.0


def _below_largest(e: Evidence, line: Line) -> float:
    return log(e.step.lr / line.largest.lr) if line.largest else CEILING


def _apart(e: Evidence, line: Line) -> float:
    p = _first(line)
    return NAN if p.moved is None or not p.shifted else p.moved / p.shifted


def _answer(e: Evidence, line: Line) -> float:
    """Largest decrease on the line that the centred movement alone promises."""
    pulls = [p.pulled for p in line.points if p.pulled is not None and line.decrease(p) > FLAT]
    return log(max(pulls)) if pulls else FLOOR


def _lowest_over_constant(e: Evidence, line: Line) -> float:
    return log(line.lowest.loss / e.seen.constant_loss) if e.seen.constant_loss else NAN


def _told(line: Line, least: float = FLAT) -> float:
    """Most that a rate which lowers the loss tells of the samples, over the first loss."""
    told = [p.parted for p in line.points if p.parted is not None and line.decrease(p) > least]
    return max(told, default=NAN if line.parted is None else line.parted)


def _newly_told(e: Evidence, line: Line) -> float:
    return NAN if line.parted is None else log(_told(line) - line.parted)


def _share_told(e: Evidence, line: Line) -> float:
    """Share of the largest decrease that does not come from moving all samples alike."""
    lowest = line.lowest
    if line.parted is None or lowest.parted is None or not line.decrease(lowest) > FLAT:
        return NAN
    return cut((lowest.parted - line.parted) / line.decrease(lowest))


def _bend(e: Evidence, line: Line) -> float:
    """Decrease at the best rate over ten times that at a tenth of it: 1 on a straight line."""
    at = line.points.index(line.lowest)
    before = line.decrease(line.points[at - 1]) if at else 0.0
    return log(line.decrease(line.lowest) / (10 * before)) if before > FLAT else NAN


def _on_decade(i: int, what: Callable[[Line, Point], float]) -> Callable[[Evidence], float]:
    """Of the i-th decade of the optimizer's family."""

    def of(e: Evidence) -> float:
        if e.line is None or i >= len(DECADES[e.step.family]):
            return NAN
        return what(e.line, e.line.at(DECADES[e.step.family][i] / e.step.boost))

    return of


def _overshoot(e: Evidence, line: Line) -> float:
    """Decades by which the largest rate takes the loss over the first; 12 for more, and for no number."""
    ratio = line.points[-1].loss / abs(line.start) if line.start else math.inf
    return min(12.0, math.log10(ratio)) if ratio > 1e-12 else FLOOR


OF_LINE: tuple[Feature, ...] = (
    Feature("decrease", "one step of the best rate lowers the loss by {} of itself",
            _on_line(lambda e, line: cut(line.decrease(line.lowest)))),
    Feature("largest", "the largest rate that lowers the loss is {}", _on_line(_largest), power=True),
    Feature("window", "{} of the tried rates lower the loss", _on_line(_window)),
    Feature("moved", "that step moves the centred outputs by {}",
            _on_line(lambda e, line: math.nan if e.alike else log(line.lowest.moved)), power=True),
    Feature("aligned", "their movement has cosine {} with what the loss asks for",
            _on_line(lambda e, line: cut(line.lowest.aligned))),
    Feature("aligned first", "a very small step has cosine {} with what the loss asks for",
            _on_line(lambda e, line: cut(_first(line).aligned))),
    Feature("pulled", "what tells samples apart lowers the loss by {} of itself", _on_line(_answer), power=True),
    Feature("apart", "{} of the first movement tells samples apart", _on_line(_apart)),
    Feature("spread", "the centred outputs have rms {}", _on_line(lambda e, line: log(line.spread)), power=True),
    Feature("lowest", "the lowest loss along the step is {} times that of the best constant answer",
            _on_line(_lowest_over_constant), power=True),
    Feature("told", "the best step tells samples apart by {} of the loss", _on_line(lambda e, line: cut(_told(line)))),
    Feature("told first", "as they are, the outputs tell samples apart by {} of the loss",
            _on_line(lambda e, line: cut(line.parted))),
    Feature("newly told", "the step adds {} of the loss to what tells samples apart",
            _on_line(_newly_told), power=True),
    Feature("share told", "{} of the decrease comes from telling samples apart", _on_line(_share_told)),
    Feature("bend", "up to the best rate the loss falls {} times as fast as on a straight line",
            _on_line(_bend), power=True),
    *(Feature(f"decrease {i}", f"at decade {i} of the rates the loss falls by {{}} of itself",
              _on_decade(i - 1, lambda line, p: cut(line.decrease(p)))) for i in range(1, 7)),
    *(Feature(f"told {i}", f"at decade {i} of the rates samples are told apart by {{}} of the loss",
              _on_decade(i - 1, lambda line, p: cut(p.parted))) for i in range(1, 7)),
    *(Feature(f"moved {i}", f"at decade {i} of the rates the centred outputs move by {{}}",
              _on_decade(i - 1, lambda line, p: log(p.moved)), power=True) for i in range(1, 7)),
    Feature("overshoot", "the largest rate takes the loss to {} times the first", _on_line(_overshoot), power=True),
)  # fmt: skip
OF_LINE_AT_RATE: tuple[Feature, ...] = (
    Feature("below largest", "the rate is {} of the largest that lowers the loss",
            _on_line(_below_largest), power=True),
    Feature("decrease here", "one step lowers the loss by {} of itself",
            _on_line(lambda e, line: cut(line.decrease(_judged(e, line))))),
    Feature("moved here", "one step moves the centred outputs by {}",
            _on_line(lambda e, line: log(_judged(e, line).moved)), power=True),
    Feature("aligned here", "that movement has cosine {} with what the loss asks for",
            _on_line(lambda e, line: cut(_judged(e, line).aligned))),
    Feature("told here", "it tells samples apart by {} of the loss",
            _on_line(lambda e, line: cut(_judged(e, line).parted))),
    Feature("below best", "the rate is {} of the best along the step",
            _on_line(lambda e, line: log(e.step.lr / line.lowest.lr)), power=True),
    Feature("over here", "one step takes the loss to {} times that of the best constant answer",
            _on_line(lambda e, line: log(_judged(e, line).loss / e.seen.constant_loss)
                     if e.seen.constant_loss else NAN), power=True),
)  # fmt: skip
