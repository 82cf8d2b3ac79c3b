"""Data frames as arrays of numbers, a column of them as the targets; by what they have, so that none is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from initlab.data.labels import is_text
from initlab.errors import InputError, unknown


def is_frame(value: Any) -> bool:
    """Whether it is a table with named columns, as pandas' and polars' are."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def array_of(value: Any, name: str) -> Any:
    """A data frame, series or the like as an array; a frame's columns of numbers and flags as one type.

    Raises:
        InputError: a column of a frame that holds no numbers.
    """
    if not is_frame(value):
        return value.to_numpy()
    columns = {str(column): np.asarray(value[column].to_numpy()) for column in value.columns}
    if len(columns) == 1:
        return next(iter(columns.values()))[:, None]
    for column, values in columns.items():
        if values.dtype.kind not in "biufc":
            what = "text" if is_text(values) else f"values of dtype {values.dtype}"
            raise InputError(f"{name}: column {column!r} holds {what}; code it as numbers, or leave it out")
    return np.stack(list(columns.values()), axis=1) if columns else np.empty((len(value), 0))


def without_column(frame: Any, column: str, name: str) -> tuple[Any, Any]:
    """(the frame's other columns, that column).

    Raises:
        InputError: the frame has no such column.
    """
    names = [str(each) for each in frame.columns]
    if column not in names:
        raise unknown(f"target column of {name}", column, names)
    at = names.index(column)
    others = [each for index, each in enumerate(frame.columns) if index != at]
    return frame[others], frame[frame.columns[at]]
