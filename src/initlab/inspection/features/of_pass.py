"""Numbers of the watched pass: its signals, gradients, units and first step, layer by layer."""

from __future__ import annotations

import math

from initlab.inspection.evidence import Evidence
from initlab.inspection.features.feature import CEILING, FLOOR, NAN, Feature, log
from initlab.inspection.recorder import Record


def _gains(e: Evidence) -> list[float]:
    """rms * sqrt(fan_in) of each matrix: how it changes the size of a signal."""
    return sorted(p.rms * math.sqrt(math.prod(p.shape[1:])) for p in e.matrices if math.isfinite(p.rms))


def _least_gain(e: Evidence) -> float:
    return log(min(_gains(e), default=NAN))


def _middle_gain(e: Evidence) -> float:
    gains = _gains(e)
    return log(gains[len(gains) // 2]) if gains else NAN


def _squared(e: Evidence) -> float:
    """Whether the loss pulls harder the farther off the output is."""
    kind = e.seen.answer.loss
    return NAN if kind in ("other", "own") else float(kind in ("mse", "random targets"))


def _excess(e: Evidence) -> float:
    return log(e.outlook.excess)


def _readout_share(e: Evidence) -> float:
    return log(e.readout.input_row_share) if e.readout is not None else NAN


def _readout_rank(e: Evidence) -> float:
    rank = e.readout.input_rank if e.readout is not None else None
    return NAN if rank is None else rank


def _readout_signal(e: Evidence) -> float:
    if e.readout is None or e.readout.input_second is None:
        return NAN
    return log(math.sqrt(max(0.0, e.readout.input_second * (e.readout.input_row_share or 0.0))))


def _first_read(e: Evidence) -> Record | None:
    """The first call that reads a parameter, where what it reads are numbers and not, say, tokens."""
    first = next((record for record in e.seen.records if record.parameters), None)
    return first if first is not None and first.input_second is not None else None


def _input_rms(e: Evidence) -> float:
    first = _first_read(e)
    return NAN if first is None or first.input_second is None else log(math.sqrt(first.input_second))


def _input_share(e: Evidence) -> float:
    first = _first_read(e)
    return NAN if first is None else log(first.input_row_share)


def _worst(e: Evidence, what: str) -> float:
    shares = [value for x in e.layers if (value := getattr(x, what)) is not None and x.kind != "softmax"]
    return max(shares, default=0.0)


def _largest_signal(e: Evidence) -> float:
    return log(max((x.second_moment for x in e.layers if math.isfinite(x.second_moment)), default=NAN) ** 0.5)


def _growth(e: Evidence) -> float:
    rms = [x.second_moment**0.5 for x in e.layers if x.parameters and math.isfinite(x.second_moment)]
    return log(rms[-1] / rms[0]) if rms and rms[0] > 0 else NAN


def _fade(e: Evidence) -> float:
    reached = [x.grad_rms for x in e.layers if x.grad_rms is not None and math.isfinite(x.grad_rms)]
    return log(reached[0] / reached[-1]) if reached and reached[-1] > 0 else FLOOR


def _least_between(e: Evidence) -> float:
    return log(min((x.between for x in e.layers if x.between is not None), default=NAN))


def _distinct(e: Evidence) -> list[float]:
    """Share of distinct units of each matrix before the read-out, whose units the classes part."""
    hidden = [p for p in e.matrices if p.distinct is not None and p.units and p.units > 1]
    return [(p.distinct or 0) / (p.units or 1) for p in hidden if p.name not in e.readout_parameters]


def _merged(e: Evidence) -> float:
    shares = _distinct(e)
    return sum(share <= 0.1 for share in shares) / len(shares) if shares else 0.0


def _median_distinct(e: Evidence) -> float:
    shares = sorted(_distinct(e))
    return shares[len(shares) // 2] if shares else 1.0


def _unmoved(e: Evidence) -> float:
    if e.closed:
        return 0.0  # they wait behind a gate of zero, which opens with the first step
    return sum(not p.grad_rms for p in e.matrices) / len(e.matrices) if e.matrices else 1.0


def _pace(e: Evidence) -> float:
    return log(e.outlook.pace)


def _slow_pace(e: Evidence) -> float:
    paces = sorted(p.pace or 0.0 for p in e.matrices)
    return log(paces[len(paces) // 4]) if paces else FLOOR


def _middle_pace(e: Evidence) -> float:
    paces = sorted(p.pace or 0.0 for p in e.matrices)
    return log(paces[len(paces) // 2]) if paces else FLOOR


def _still(e: Evidence) -> float:
    return sum((p.pace or 0.0) < 1e-3 for p in e.matrices) / len(e.matrices) if e.matrices else 1.0


def _median_between(e: Evidence) -> float:
    shares = sorted(x.between for x in e.layers if x.between is not None)
    return log(shares[len(shares) // 2]) if shares else NAN


def _narrowest(e: Evidence) -> float:
    sizes = [math.prod(x.shape) / e.batch for x in e.layers if x.parameters and e.batch]
    return log(min(sizes)) if sizes else NAN


def _mean_dead(e: Evidence) -> float:
    shares = [x.dead for x in e.layers if x.dead is not None]
    return sum(shares) / len(shares) if shares else 0.0


def _over_eps(e: Evidence) -> float:
    sizes = sorted(p.grad_rms for p in e.matrices if p.grad_rms is not None and math.isfinite(p.grad_rms))
    return log(sizes[len(sizes) // 2] / e.step.eps) if sizes and e.step.eps else CEILING


def _depth(e: Evidence) -> float:
    return math.log10(max(1, len(e.matrices)))


def _size(e: Evidence) -> float:
    return math.log10(max(1, sum(math.prod(p.shape) for p in e.parameters)))


OF_PASS: tuple[Feature, ...] = (
    Feature("excess", "the first loss is {} times that of the best constant answer", _excess, power=True),
    Feature("input rms", "the inputs have rms {}", _input_rms, power=True),
    Feature("input share", "{} of the inputs' second moment is variance", _input_share, power=True),
    Feature("readout share", "{} of the signal at the read-out tells samples apart", _readout_share, power=True),
    Feature("readout rank", "samples differ in {} directions at the read-out", _readout_rank),
    Feature("readout signal", "the signal that tells samples apart has rms {} at the read-out",
            _readout_signal, power=True),
    Feature("readable", "{} of what the loss asks for can be read from the read-out's inputs",
            lambda e: NAN if e.seen.readable is None else e.seen.readable),
    Feature("least gain", "the smallest matrix passes on {} of its input", _least_gain, power=True),
    Feature("middle gain", "the median matrix passes on {} of its input", _middle_gain, power=True),
    Feature("squared", "the loss is a squared distance", _squared, unless="the loss is no squared distance"),
    Feature("middle pace", "a step changes the median matrix by {} of itself", _middle_pace, power=True),
    Feature("still", "{} of the matrices move by under a thousandth in a step", _still),
    Feature("faint between", "at the median layer {} of the signal tells samples apart", _median_between, power=True),
    Feature("narrow", "the narrowest layer with a weight has {} outputs a sample", _narrowest, power=True),
    Feature("dead share", "in the mean layer {} of the units are off", _mean_dead),
    Feature("dead", "{} of a layer's units are off for every sample", lambda e: _worst(e, "dead")),
    Feature("saturated", "{} of a layer's outputs are saturated", lambda e: _worst(e, "saturated")),
    Feature("largest signal", "the largest signal has rms {}", _largest_signal, power=True),
    Feature("growth", "the signal grows by {} from the first layer to the last", _growth, power=True),
    Feature("fade", "the gradient at the first layer is {} of that at the last", _fade, power=True),
    Feature("between", "at the worst layer {} of the signal tells samples apart", _least_between, power=True),
    Feature("merged", "{} of the weight matrices before the read-out have equal units", _merged),
    Feature("distinct", "the median matrix has {} of its units distinct", _median_distinct),
    Feature("unmoved", "{} of the weight matrices get no gradient", _unmoved),
    Feature("over eps", "the median gradient is {} times the optimizer's eps", _over_eps, power=True),
    Feature("pace", "a step changes the fastest matrix by {} of itself", _pace, power=True),
    Feature("slow pace", "a step changes the slowest quarter by {} of themselves",
            _slow_pace, power=True),
    Feature("steps", "by its first step the loss moves visibly after {} steps",
            lambda e: log(e.outlook.steps), power=True),
    Feature("depth", "{} weight matrices are stacked", _depth, power=True),
    Feature("size", "it has {} parameters", _size, power=True),
    Feature("sign", "the optimizer's steps have a size of their own", lambda e: float(e.step.sign_like),
            unless="the optimizer's steps are as large as the gradient makes them"),
    Feature("normalised", "it normalises", lambda e: float(e.normalised), unless="nothing is normalised"),
)  # fmt: skip
OF_PASS_AT_RATE: tuple[Feature, ...] = (
    Feature("rate", "the rate is {}", lambda e: log(e.step.rate), power=True),
)  # fmt: skip
