"""The catalogue as the page needs it: each law as a form that JavaScript works out, found by asking the rule.

No rule is written a second time: a form is taken only where it gives the rule's own law, number for number, for every
shape that the page can ask for; a scheme that fits no form is sent as a table of its laws.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from initlab.sampling import laws
from initlab.schemes import Geometry, Scheme, get_scheme, list_schemes
from initlab.schemes.checks import DISTRIBUTIONS
from initlab.schemes.geometry import FAN_MODES
from initlab.schemes.scaling import draw, scaled

Shape = tuple[int, int]
Form = dict[str, Any]

GAINS = (0.3, 1.7)  # that are tried to see whether a rule takes the gain that it is handed


def catalogue(shapes: Sequence[Shape]) -> list[dict[str, Any]]:
    """Every scheme of the catalogue: what is said of it, and its form for these shapes (outputs, inputs)."""
    return [entry_of(get_scheme(name), shapes) for name in list_schemes()]


def entry_of(scheme: Scheme, shapes: Sequence[Shape]) -> dict[str, Any]:
    """One scheme as plain data."""
    return {
        "name": scheme.name,
        "formula": scheme.formula,
        "source": f"{scheme.source} ({scheme.year})",
        "arguments": [name for name in ("gain", "std") if name in scheme.arguments],
        "form": form_of(scheme, [Geometry.from_shape(shape) for shape in shapes]),
    }


def form_of(scheme: Scheme, geometries: Sequence[Geometry]) -> Form:
    """The form of a scheme's law.

    Returns:
        One of {"kind": "scaled", distribution, mode, gain}, {"kind": "matrix", law}, {"kind": "fixed", law} and
        {"kind": "table", laws}. `mode` is a fan mode, or "one" where the gain is the std itself.
    """
    own = [scheme.law(geometry) for geometry in geometries]
    if all(isinstance(law, laws.MatrixLaw) for law in own) and len({repr(law) for law in own}) == 1:
        return {"kind": "matrix", "law": law_data(own[0])}
    for form in itertools.chain(_as_std(scheme, own), _as_gain(scheme, geometries, own)):
        return form
    if len({repr(law) for law in own}) == 1:
        return {"kind": "fixed", "law": law_data(own[0])}
    names = ["x".join(map(str, geometry.shape)) for geometry in geometries]
    return {"kind": "table", "laws": dict(zip(names, map(law_data, own), strict=True))}


def law_data(law: laws.Law) -> dict[str, Any]:
    """A law's fields beside its family."""
    return {"family": law.family} | {f.name: getattr(law, f.name) for f in fields(law)}  # type: ignore[arg-type]  # laws are dataclasses


def _as_gain(scheme: Scheme, geometries: Sequence[Geometry], own: Sequence[laws.Law]) -> Iterator[Form]:
    """gain / √fan, where the rule takes any gain that it is handed and its own is one of the tried ones."""
    for mode, distribution in itertools.product(FAN_MODES, DISTRIBUTIONS):
        for gain in _near(own[0], geometries[0].fans.mode(mode)):
            wanted = [scaled(geometry, mode, distribution, gain) for geometry in geometries]
            if wanted == list(own) and _takes_gain(scheme, geometries, mode, distribution):
                yield {"kind": "scaled", "distribution": distribution, "mode": mode, "gain": gain}


def _takes_gain(scheme: Scheme, geometries: Sequence[Geometry], mode: str, distribution: str) -> bool:
    pairs = itertools.product(geometries, GAINS)
    return all(scheme.law(geometry, gain) == scaled(geometry, mode, distribution, gain) for geometry, gain in pairs)


def _as_std(scheme: Scheme, own: Sequence[laws.Law]) -> Iterator[Form]:
    """One std for every shape: a scheme that has it as an argument."""
    if "std" not in scheme.arguments or scheme.uses != "values":
        return
    std = float(scheme.arguments["std"])
    for distribution in DISTRIBUTIONS:
        others = [(value, scheme.with_(std=value).law(Geometry.from_shape((2, 2)))) for value in GAINS]
        if all(law == draw(distribution, std) for law in own) and all(
            law == draw(distribution, value) for value, law in others
        ):
            yield {"kind": "scaled", "distribution": distribution, "mode": "one", "gain": std}


def _near(law: laws.Law, fan: float) -> Iterator[float]:
    """The numbers next to std · √fan, of which one is the gain that the rule used."""
    std = float(getattr(law, "std", math.nan))
    if not (math.isfinite(std) and std > 0):
        return
    gain = std * math.sqrt(fan)
    below = above = gain
    yield gain
    yield round(gain, 12)
    for _ in range(4):
        below, above = math.nextafter(below, 0.0), math.nextafter(above, math.inf)
        yield from (below, above)
