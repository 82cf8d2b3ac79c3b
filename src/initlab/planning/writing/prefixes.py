"""What stands before the names of a part of a larger model, so that its values are those that it has there."""

from __future__ import annotations

from initlab.errors import InputError, shown


def check_prefix(prefix: object) -> None:
    """Refuse what cannot stand before a name.

    Raises:
        InputError: no string.
    """
    if not isinstance(prefix, str):
        raise InputError(f"prefix must be a string such as 'layers.4'; got {shown(prefix)}")


def prefixed(prefix: str, name: str) -> str:
    """A name as a larger model has it, of which this one is the part called `prefix`.

    >>> prefixed("layers.4", "fc.weight"), prefixed("", "fc.weight")
    ('layers.4.fc.weight', 'fc.weight')
    """
    return f"{prefix.rstrip('.')}.{name}" if prefix else name
