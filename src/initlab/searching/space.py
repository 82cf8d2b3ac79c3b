"""What a search may choose from: schemes per selector, their own arguments, the learning rate, the weight decay."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FixedTrial
from torch import nn

from initlab.comparison.arms import label_of
from initlab.errors import InputError, finite_number, nearest, repeated, shown, text
from initlab.planning import get_policy, plan
from initlab.schemes import scheme_like
from initlab.study.fingerprint import plan_fingerprint
from initlab.training.optimizers import optimizer_of, trained

WHOLE = "scheme"
EVERY = "*"  # the selector that a policy says the same with
LEARNING_RATES = {"sgd": (1e-3, 1.0), "sign": (1e-4, 1e-1)}  # that are searched, by the optimizer's family
NUMBERS = ("lr", "weight_decay")
DEFAULT_SCHEMES: tuple[Any, ...] = (
    "auto", "torch_default", "xavier_normal", "he_normal", "lecun_normal", "orthogonal",
    ("normal", {"std": (1e-3, 1.0)}),
)  # fmt: skip


@dataclass(frozen=True)
class Range:
    """A number between low and high, drawn on a log scale; or fixed where they are equal."""

    low: float
    high: float

    def suggest(self, trial: BaseTrial, name: str) -> float:
        """The trial's value."""
        if self.low == self.high:
            return self.low
        return trial.suggest_float(name, self.low, self.high, log=True)


@dataclass(frozen=True)
class Option:
    """One scheme that may be chosen, with the ranges of its arguments."""

    label: str
    scheme: Any
    ranges: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Space:
    """The space of a search.

    Args:
        choices: selector ("scheme" for the whole model) -> the schemes that it may get.
        lr: learning rate.
        weight_decay: weight decay; None where it is not searched.
    """

    choices: Mapping[str, tuple[Option, ...]]
    lr: Range
    weight_decay: Range | None = None

    def suggest(self, trial: BaseTrial) -> tuple[Any, float, float | None]:
        """(policy, lr, weight decay) of a trial."""
        chosen = {selector: _scheme(trial, selector, options) for selector, options in self.choices.items()}
        policy = (
            chosen[WHOLE] if set(chosen) == {WHOLE} else {(EVERY if s == WHOLE else s): v for s, v in chosen.items()}
        )
        decay = None if self.weight_decay is None else self.weight_decay.suggest(trial, "weight_decay")
        return policy, self.lr.suggest(trial, "lr"), decay

    def settings(self, params: Mapping[str, Any]) -> tuple[Any, float, float | None]:
        """(policy, lr, weight decay) that these choices mean."""
        return self.suggest(FixedTrial(dict(params)))

    def laws_of(self, params: Mapping[str, Any]) -> dict[str, BaseDistribution] | None:
        """The law of each of these choices; None where they are not choices of this space.

        >>> space_of({"scheme": ["zeros", "he_normal"], "lr": (0.1, 1)}, "sgd").laws_of({"scheme": "ones", "lr": 0.2})
        """
        trial = FixedTrial(dict(params))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Optuna warns of a value that lies outside its range
                self.suggest(trial)
        except (ValueError, UserWarning):
            return None
        return trial.distributions if set(trial.distributions) == set(params) else None

    def check(self, model: nn.Module) -> None:
        """Refuse a selector that matches no parameter of the model, before a trial is begun.

        Raises:
            InputError: names the selector and what the model has.
        """
        for selector, options in self.choices.items():
            if selector != WHOLE:
                plan(model, policy={selector: options[0].scheme})

    def plans(self, model: nn.Module) -> dict[str, dict[str, str]]:
        """{selector: {scheme: a hash of its plan}}, at the low ends of its ranges: versions may plan differently."""
        return {
            selector: {option.label: _plan_of(model, selector, option) for option in options}
            for selector, options in self.choices.items()
        }

    def describe(self) -> dict[str, Any]:
        """The space as plain values: what a stored study is compared by."""
        found: dict[str, Any] = {
            selector: {o.label: {k: [r.low, r.high] for k, r in o.ranges.items()} for o in options}
            for selector, options in self.choices.items()
        }
        found["lr"] = [self.lr.low, self.lr.high]
        found["weight_decay"] = None if self.weight_decay is None else [self.weight_decay.low, self.weight_decay.high]
        return found


def _plan_of(model: nn.Module, selector: str, option: Option) -> str:
    lows = {name: ends.low for name, ends in option.ranges.items()}
    scheme = option.scheme.with_(**lows) if lows else option.scheme
    if scheme is None:
        return plan_fingerprint(None)
    try:
        return plan_fingerprint(plan(model, policy=scheme if selector == WHOLE else {selector: scheme}))
    except InputError:  # a trial that chooses it says why
        return "does not fit"


def _scheme(trial: BaseTrial, selector: str, options: Sequence[Option]) -> Any:
    labels = [option.label for option in options]
    label = trial.suggest_categorical(selector, labels) if len(labels) > 1 else labels[0]
    option = options[labels.index(str(label))]
    if not option.ranges:
        return option.scheme
    arguments = {name: r.suggest(trial, f"{selector} {option.label} {name}") for name, r in option.ranges.items()}
    return option.scheme.with_(**arguments)


def space_of(space: Mapping[str, Any] | None, optimizer: str) -> Space:
    """The space that the user's mapping means.

    Args:
        space: {selector or "scheme": [schemes], "lr": (low, high) or a number, "weight_decay": the same}. What neither
            names stays as `build` made it. A scheme is what `compare` takes, or (name, {argument: (low, high)}). None:
            the main schemes for the whole model.
        optimizer: sets the default range of the learning rate.

    Raises:
        InputError: names the entry and what would be right.

    >>> space_of({"@Linear": ["he_normal", ("normal", {"std": (0.01, 1)})], "lr": 0.01}, "adam").describe()["@Linear"]
    {'he_normal': {}, 'normal': {'std': [0.01, 1.0]}}
    """
    default_lr = LEARNING_RATES[optimizer_of(optimizer, trained()).family]
    if space is None:
        space = {WHOLE: DEFAULT_SCHEMES}
    if not isinstance(space, Mapping) or not space:
        raise InputError(
            f'space must be a mapping such as {{"@Linear": ["he_normal"], "lr": (1e-4, 1e-1)}}; got {shown(space)}'
        )
    choices = {text(key): _options(text(key), value) for key, value in space.items() if key not in NUMBERS}
    if WHOLE in choices and EVERY in choices:
        raise InputError(f"space holds {WHOLE!r} and {EVERY!r}, which both stand for the whole model; give one of them")
    if not choices:
        choices = {WHOLE: _options(WHOLE, DEFAULT_SCHEMES)}
    decay = space.get("weight_decay")
    return Space(
        choices,
        _range("lr", space.get("lr", default_lr)),
        None if decay is None else _range("weight_decay", decay),
    )


def _range(name: str, value: Any) -> Range:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise InputError(f"space {name!r} must be a number or (low, high); got {shown(value)}")
        low, high = (finite_number(name, v, low=0) for v in value)
        if not 0 < low <= high:
            raise InputError(
                f"space {name!r} must be (low, high) with 0 < low <= high, for a log scale; got {shown(value)}"
            )
        return Range(low, high)
    number = finite_number(name, value, low=0)
    return Range(number, number)


def _options(selector: str, schemes: Any) -> tuple[Option, ...]:
    if isinstance(schemes, str | Mapping) or not isinstance(schemes, Sequence):
        schemes = [schemes]
    if all(isinstance(scheme, Real) for scheme in schemes) and schemes:
        close = nearest(selector, NUMBERS)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(
            f"space {selector!r} must hold schemes; got {shown(schemes)} (numbers are for {NUMBERS[0]} and "
            f"{NUMBERS[1]}){meant}"
        )
    options = [_option(selector, scheme) for scheme in schemes]
    labels = [option.label for option in options]
    twice = repeated(labels)
    if twice is not None:
        raise InputError(f"space {selector!r} holds {twice!r} twice; each scheme may stand once")
    if not options:
        raise InputError(f"space {selector!r} must hold at least one scheme; got none")
    return tuple(options)


def _option(selector: str, scheme: Any) -> Option:
    if isinstance(scheme, tuple):
        if len(scheme) != 2 or not isinstance(scheme[1], Mapping):
            raise InputError(
                f"space {selector!r}: a scheme with ranges is (name, {{argument: (low, high)}}); got {shown(scheme)}"
            )
        known = scheme_like(scheme[0])
        ranges = {name: _range(name, value) for name, value in scheme[1].items()}
        for name, one in ranges.items():
            known.with_(**{name: one.low})
            known.with_(**{name: one.high})
        return Option(known.label, known, ranges)
    if isinstance(scheme, str) and scheme not in ("keep", "as_built"):
        get_policy(scheme)
    return Option(label_of(scheme), None if scheme == "as_built" else scheme)
