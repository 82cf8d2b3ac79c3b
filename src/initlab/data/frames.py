"""Data frames as arrays of numbers, a column of them as the targets; by what they have, so that none is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from initlab.data.labels import is_text
from initlab.errors import InputError, repeated, unknown


def is_frame(value: Any) -> bool:
    """Whether it is a table with named columns, as pandas', polars' and Arrow's are."""
    return _is_arrow(value) or (hasattr(value, "to_numpy") and hasattr(value, "columns"))


def has_columns(value: Any) -> bool:
    """Whether the name of a column beside it says what is to be predicted: a frame, or what becomes one."""
    return is_frame(value) or _becomes_frame(value)


def column_names(frame: Any) -> list[str]:
    """What the columns of a frame are called."""
    return [str(each) for each in _names(frame)]


def check_holds_values(value: Any, name: str) -> None:
    """Refuse a frame that is yet to be computed.

    Raises:
        InputError: it is lazy, as polars' and Dask's frames are.
    """
    for way in ("collect", "compute"):
        if not hasattr(value, "to_numpy") and hasattr(value, way) and type(value).__name__.endswith("Frame"):
            raise InputError(f"{name}: a lazy frame holds no values yet; give {name}.{way}()")


def holds_arrays(value: Any) -> bool:
    """Whether `array_of` takes it: a frame, or a series."""
    return _is_arrow(value) or hasattr(value, "to_numpy")


def plain_array(value: Any, name: str) -> Any:
    """An array in the machine's own byte order.

    Raises:
        InputError: values of it are masked.
    """
    if np.ma.is_masked(value):
        count = int(np.ma.getmaskarray(value).sum())
        raise InputError(f"{name} has {count:,} masked values; fill them (.filled(0)), or leave such rows out")
    array = np.asarray(value)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _becomes_frame(value: Any) -> bool:
    """Whether it is a table on disk, as Hugging Face's Dataset is."""
    return hasattr(value, "column_names") and hasattr(value, "to_pandas")


def _is_arrow(value: Any) -> bool:
    return hasattr(value, "column_names") and hasattr(value, "to_pydict") and hasattr(value, "select")


def _names(frame: Any) -> list[Any]:
    return list(frame.columns if hasattr(frame, "columns") and not _is_arrow(frame) else frame.column_names)


def _columns(frame: Any, name: str) -> list[tuple[str, Any]]:
    """(name, values) of each column.

    Raises:
        InputError: two of one name.
    """
    names = _names(frame)
    twice = repeated(names)
    if twice is not None:
        raise InputError(f"{name} has two columns {str(twice)!r}; give each a name of its own")
    if _is_arrow(frame):
        return [(each, np.asarray(frame.column(each).to_numpy(zero_copy_only=False))) for each in names]
    return [(str(each), np.asarray(frame[each].to_numpy())) for each in names]


def array_of(value: Any, name: str) -> Any:
    """A data frame, series or the like as an array; a frame's columns of numbers and flags as one type.

    Raises:
        InputError: a column of a frame that holds no numbers, or two columns of one name.
    """
    if not is_frame(value):
        return value.to_numpy()
    columns = dict(_columns(value, name))
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
    frame = frame if is_frame(frame) else frame.to_pandas()
    names = column_names(frame)
    if column not in names:
        raise unknown(f"target column of {name}", column, names)
    if _is_arrow(frame):
        return frame.select([each for each in names if each != column]), dict(_columns(frame, name))[column]
    at = names.index(column)
    others = [each for index, each in enumerate(frame.columns) if index != at]
    return frame[others], frame[frame.columns[at]]
