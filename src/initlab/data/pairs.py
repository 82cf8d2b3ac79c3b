"""Which part of a sample or batch is the input, and which the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.errors import InputError, text

# What targets are called in samples that are mappings, as Hugging Face's collators know them.
TARGET_KEYS = ("labels", "label", "label_ids", "targets", "target", "y")


def target_key(item: Mapping[Any, Any]) -> Any | None:
    """The key of a mapping under which its targets stand; None for none."""
    lower = {text(key).lower(): key for key in item}
    return next((lower[name] for name in TARGET_KEYS if name in lower), None)


def pair_of(item: Any, name: str) -> tuple[Any, Any]:
    """(x, y) of a sample or batch: a pair, or a mapping of one input and its target.

    Raises:
        InputError: neither.

    >>> pair_of({"pixel_values": 1.0, "label": 3}, "item 0")
    (1.0, 3)
    """
    if isinstance(item, Mapping):
        target = target_key(item)
        inputs = [key for key in item if key != target]
        if target is None or len(inputs) != 1:
            held = ", ".join(text(key) for key in item)[:200]
            raise InputError(
                f"{name} must be (x, y), or a mapping of one input and its target ({', '.join(TARGET_KEYS[:4])}, …); "
                f"got a mapping of {held}"
            )
        return item[inputs[0]], item[target]
    if not isinstance(item, tuple | list) or len(item) != 2:
        size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
        raise InputError(f"{name} must be (x, y); got {type(item).__name__}{size}")
    return item[0], item[1]
