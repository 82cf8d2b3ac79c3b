"""What a study may be called."""

from __future__ import annotations

from typing import Any

from initlab.errors import InputError, shown

MOST_NAME = 200


def study_name(name: Any) -> str:
    """`name`, if it can be a study's.

    Raises:
        InputError: no text, an empty one, one that is too long or has control characters.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"study must be a name of 1 to {MOST_NAME} characters; got {shown(name)}")
    if len(name) > MOST_NAME:
        raise InputError(f"study must be a name of 1 to {MOST_NAME} characters; got {len(name)}")
    if not name.isprintable():
        raise InputError(f"study must be a name without control characters; got {shown(name)}")
    return name
