"""The catalogue put together: every scheme by name, the other names they are known by, and how to get one."""

from __future__ import annotations

from typing import Any

from initlab.errors import InputError, argued, shown, unknown
from initlab.schemes.catalogue import CATALOGUE
from initlab.schemes.scheme import Scheme

ENTRIES: dict[str, Scheme] = {entry.name: entry for entry in CATALOGUE}

ALIASES: dict[str, str] = {alias: entry.name for entry in CATALOGUE for alias in entry.aliases}


def list_schemes() -> list[str]:
    """The names in the catalogue, in its order (aliases such as glorot_normal are accepted but not listed).

    >>> "he_normal" in list_schemes()
    True
    """
    return list(ENTRIES)


@argued
def get_scheme(name: str, **arguments: Any) -> Scheme:
    """A scheme from the catalogue, with its arguments set.

    Args:
        name: a catalogue name or an alias (glorot_*, kaiming_*, dirac, gaussian, ...). `he` and `kaiming` mean
            he_normal, `xavier` and `glorot` xavier_normal.
        **arguments: the scheme's own arguments, such as std=0.02 or mode="fan_out".

    Raises:
        InputError: an unknown name (with the nearest names), an argument that the scheme does not take (with those it
            takes), or a value that it refuses.

    >>> get_scheme("kaiming_normal", negative_slope=0.2)
    Scheme he_normal(mode='fan_in', negative_slope=0.2): W ~ N(0, 2 / ((1 + negative_slope²) · fan))
    """
    if not isinstance(name, str):
        raise InputError(f"scheme name must be a string; got {shown(name)}")
    known = ALIASES.get(name, name)
    if known not in ENTRIES:
        hint = "initlab schemes lists all; a recipe for a whole model goes to plan or init_ by its name"
        raise unknown("scheme", name, [*ENTRIES, *ALIASES], hint)
    return ENTRIES[known].with_(**arguments)


def scheme_like(value: Any) -> Scheme:
    """The `Scheme` that a user's value names: a Scheme itself, or a name from the catalogue.

    Raises:
        InputError: an unknown name, or something that is neither.

    >>> scheme_like("zeros").name
    'zeros'
    """
    if isinstance(value, Scheme):
        return value
    if isinstance(value, str):
        return get_scheme(value)
    raise InputError(f"a scheme must be a name or a Scheme; got {shown(value)}")
