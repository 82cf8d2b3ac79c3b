"""What to do about a finding, in words."""

from __future__ import annotations

import math

from initlab.inspection.activations import ACTIVATIONS
from initlab.inspection.evidence import Evidence
from initlab.schemes import Geometry, get_scheme


def advice(e: Evidence, kind: str | None = None, otherwise: str = "") -> str:
    """Which scheme to start from instead; `otherwise` when the weights have that scheme's scale already."""
    kind = kind or e.nonlinearity
    scheme = scheme_for(kind)
    example = _furthest(e, scheme)
    if example is None:
        return otherwise or "The scale of the weights is right already: add normalization or skip connections"
    name, now, right = example
    suits = f"made for {kind}" if kind else "no activation function was seen"
    return f"Use {scheme} ({suits}): std {right:.2g} for {name}, now {now:.2g}"


def scale_advice(e: Evidence) -> str:
    """What helps when signals grow."""
    words = advice(e, otherwise=f"Lower the learning rate ({e.step.lr:g}) or warm it up, or add normalization")
    if len(e.layers) > 30 and not e.normalised:
        return words + "; in a deep residual net, scale the branches by 1/sqrt(depth) or start them at zero"
    return words


def random_advice(e: Evidence) -> str:
    """What helps when units are equal."""
    return f"Only random weights break the symmetry: use {scheme_for(e.nonlinearity)}"


def fading_advice(e: Evidence) -> str:
    """What helps when the scale is right already and signals fade all the same."""
    if e.nonlinearity in ("sigmoid", "hardsigmoid"):
        return advice(e, otherwise="No scheme carries signals through a deep stack of sigmoids: use tanh or relu") + (
            "; in a deep stack use tanh or relu instead of sigmoid, or add normalization"
        )
    if not e.step.sign_like:
        return advice(e, otherwise=f"Use a larger learning rate than {e.step.lr:g}, or adamw, or add normalization")
    return advice(e)


def scheme_for(kind: str | None) -> str:
    """The scheme to use around activation `kind`; without activations, one that keeps both passes."""
    activation = ACTIVATIONS.get(kind or "")
    return activation.scheme if activation else "xavier_normal"


def _furthest(e: Evidence, scheme: str) -> tuple[str, float, float] | None:
    """(name, rms, the scheme's std) of the weight furthest from `scheme`; None when most are within a third."""
    found = []
    for p in e.parameters:
        if p.trainable and len(p.shape) > 1 and p.layer is not None and math.isfinite(p.rms):
            right = get_scheme(scheme).std(Geometry.from_shape(p.shape))
            found.append((abs(math.log(max(p.rms, 1e-30) / right)), p.name, p.rms, right))
    off = [entry for entry in found if entry[0] > 0.3]
    if not off or len(off) < 0.3 * len(found):
        return None
    return max(off, key=lambda entry: entry[0])[1:]
