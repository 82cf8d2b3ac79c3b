"""WHAT to draw: fan modes, gains, the catalogue with formulas and sources. No framework is imported here."""

from initlab.schemes.geometry import Fans, Geometry, Packing
from initlab.schemes.registry import ALIASES, get_scheme, list_schemes, scheme_like
from initlab.schemes.scheme import Scheme

__all__ = ["ALIASES", "Fans", "Geometry", "Packing", "Scheme", "get_scheme", "list_schemes", "scheme_like"]
