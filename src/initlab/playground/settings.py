"""What the page's JavaScript is told, read from the rooms that know it: streams, catalogue, gains, facts, digits."""

from __future__ import annotations

import json
import string
from importlib.resources import files
from typing import Any

import numpy as np

from initlab.inspection.findings.symmetric import MERGED
from initlab.inspection.line import DECADES, FLAT, STILL
from initlab.inspection.trees import calibration
from initlab.inspection.verdict import ALIKE, FACTS, HARDLY, OVERSHOOT, UNDER
from initlab.playground.forms import Shape, catalogue
from initlab.sampling import STREAM_VERSION, coefficients, philox
from initlab.theory import ACTIVATIONS, gain

WIDTHS = (4, 8, 16, 24, 32, 48, 64, 96, 128)
DIGITS = 320  # samples of scikit-learn's digits that the page carries
# (inputs, classes) of the page's data: points in the plane, and the digits.
ENDS: tuple[Shape, ...] = ((2, 2), (64, 10))


def settings() -> dict[str, Any]:
    """All of it, as plain data for JSON."""
    return {
        "stream_version": STREAM_VERSION,
        "philox": _philox(),
        "coefficients": _coefficients(),
        "schemes": catalogue(shapes()),
        "gains": {name: _gain(name) for name in ACTIVATIONS},
        "widths": list(WIDTHS),
        "digits": _digits(),
        "line": {"decades": {family: list(rates) for family, rates in DECADES.items()}, "flat": FLAT},
        "bounds": {
            "alike": ALIKE,
            "hardly": HARDLY,
            "under": UNDER,
            "still": STILL,
            "overshoot": OVERSHOOT,
            "merged": MERGED,
        },
        "words": json.loads(files("initlab.playground").joinpath("words.json").read_text(encoding="utf-8")),
        "facts": {name: {"words": fact.words, "share": calibration().facts[name]} for name, fact in FACTS.items()},
    }


def shapes() -> list[Shape]:
    """(outputs, inputs) of every weight that the page can draw."""
    first = {(width, inputs) for width in WIDTHS for inputs, _ in ENDS}
    last = {(classes, width) for width in WIDTHS for _, classes in ENDS}
    return sorted({(width, width) for width in WIDTHS} | first | last)


def _philox() -> dict[str, Any]:
    return {
        "lanes": philox.LANES,
        "rounds": philox.ROUNDS,
        "multipliers": [philox.MULTIPLIER_0, philox.MULTIPLIER_1],
        "weyl": [philox.WEYL_0, philox.WEYL_1],
        "domains": {"values": philox.VALUES, "low_bits": philox.LOW_BITS, "mask": philox.MASK},
        "domain_shift": philox.DOMAIN_SHIFT,
    }


def _coefficients() -> dict[str, list[float]]:
    tables = {name: value for name, value in vars(coefficients).items() if name.isupper() and isinstance(value, tuple)}
    return {name: [float(number) for number in table] for name, table in tables.items()}


def _gain(name: str) -> float | None:
    """The gain that theory gives an activation; None where a signal of size one does not come through it."""
    with np.errstate(all="ignore"):
        found = float(gain(name))
    return found if np.isfinite(found) else None


def _digits() -> dict[str, Any]:
    """Digits as text: a letter for the class and one for each of the 64 grey levels."""
    # lazy: scikit-learn takes a second, and only the page that is written needs it
    from sklearn.datasets import load_digits

    bunch = load_digits()
    alphabet = string.ascii_lowercase
    rows = np.column_stack([bunch.target, bunch.images.reshape(len(bunch.target), -1)])[:DIGITS].astype(int)
    return {"alphabet": alphabet, "samples": ["".join(alphabet[level] for level in row) for row in rows]}
