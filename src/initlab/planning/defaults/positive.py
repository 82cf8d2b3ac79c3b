"""Matrices that a function makes positive, of convex and of monotone networks: their mean sizes what they make, no std.

Of y = Σⱼ f(pⱼ)·xⱼ with f = softplus, exp or sigmoid and p around zero, each of n terms has weight f(0), and y is n·f(0)
times a mean of x: the layer multiplies by n, whatever the std of p. Here the mean of p is where f is 1/(n·√E[x²]), so
that y is as large as the mean of x, and its std is the distance over which f grows e times, so that units differ.

Source: Hoedt & Klambauer, Principled weight initialisation for input-convex neural networks, 2023: positive weights
need a mean of their own; they are drawn log-normally.
"""

from __future__ import annotations

import math

from initlab.planning.choice import Choice
from initlab.planning.defaults.own_scales import own_function
from initlab.planning.parameters.scene import Subject
from initlab.planning.reason import Reason
from initlab.schemes import get_scheme

WIDE = 16.0  # how far from zero the mean of a parameter is looked for
STEP = 1e-3  # over which a slope is taken


def of_positive(subject: Subject, gain: float) -> Choice | None:
    """What a parameter gets of which a positive function is a layer's weight; None for every other.

    Args:
        subject: a weight.
        gain: 1/√E[x²] of what the layer reads.
    """
    graph, geometry = subject.scene.graph, subject.geometry
    if graph is None or geometry is None or not geometry.fan_in:
        return None
    function, last = own_function(subject)
    if function is None or last is None or last.traits.combines != "contraction":
        return None
    size = gain / geometry.fan_in
    target = size * math.exp(-0.5)  # of the median: the mean of what lies e times apart is √e of it
    ends = [function(place) for place in (-WIDE, 0.0, WIDE)]
    if not all(map(math.isfinite, ends)) or not 0 <= ends[0] < target < ends[2] or not ends[0] < ends[1] < ends[2]:
        return None
    low, high = -WIDE, WIDE
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    slope = (function(low + STEP) - function(low - STEP)) / (2 * STEP)
    if not ends[1] > target or slope <= 0:
        return None
    mean, std = round(low, 4), round(min(2.0, target / slope), 4)
    words = f"made positive, so that its mean sizes what it makes: 1/(fan_in · √E[x²]) = {size:.3g}"
    return Choice(get_scheme("normal", mean=mean, std=std), Reason("positive", words))
