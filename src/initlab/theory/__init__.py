"""WHAT SHOULD HAPPEN: the gain of any activation, mean-field maps, critical points. No framework is imported here."""

from initlab.theory.activations import ACTIVATIONS, activation
from initlab.theory.critical import Criticality, FixedPoint, criticality, fixed_point
from initlab.theory.maps import Moments, chi, correlation_map, gain, moments, variance_map
from initlab.theory.phases import critical_line, jacobian_spread
from initlab.theory.propagation import Propagation, propagate

__all__ = [
    "ACTIVATIONS",
    "Criticality",
    "FixedPoint",
    "Moments",
    "Propagation",
    "activation",
    "chi",
    "correlation_map",
    "critical_line",
    "criticality",
    "fixed_point",
    "gain",
    "jacobian_spread",
    "moments",
    "propagate",
    "variance_map",
]
