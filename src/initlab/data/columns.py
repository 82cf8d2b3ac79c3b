"""`.csv` and `.tsv` files: columns of numbers, one of them to be predicted."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from initlab.data.untrusted import gigabytes, memory_limit, open_ordinary, reason, short
from initlab.errors import InputError, shortened, unknown

if TYPE_CHECKING:
    import pandas as pd

TARGETS = ("target", "label", "class", "y")
_GROWTH = 4  # how many times its size on disk a table may take while it is read


def load_columns(path: Path, target: str | None = None) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """(X, Y, the words of the classes) of a table whose first line names its columns.

    Commas, semicolons or tabs part the columns, whichever the first line holds most of. A first column without a name
    that counts the rows, as pandas writes it, is left out.

    Args:
        path: the file, in UTF-8.
        target: the column to be predicted; the default is the one called target, label, class or y.

    Returns:
        X float32 of shape (rows, columns − 1); Y: class numbers in alphabetical order for a column of words, else its
        numbers; the words, empty for numbers.

    Raises:
        InputError: no such column, words among the features, a missing value, rows of other lengths, a broken file.
    """
    frame = _read(path)
    column = _target(frame, target, path)
    features = frame.drop(columns=[column])
    if not len(features.columns) or not len(frame):
        raise InputError(f"{short(path)} has {len(frame)} rows and {len(features.columns)} columns beside {column!r}")
    for name in frame.columns:
        _whole(frame[name], path)
    for name in features.columns:
        _number(features[name], path)
    y, classes = _targets(frame[column])
    return features.to_numpy(dtype=np.float32), y, classes


def _read(path: Path) -> pd.DataFrame:
    # lazy: pandas is heavy, and few data sets are tables
    import pandas as pd

    stream, size = open_ordinary(path, "table")
    with stream:
        if size * _GROWTH > memory_limit():
            raise InputError(f"table {short(path)!r} has {gigabytes(size)}; {gigabytes(memory_limit())} are to be had")
        body = stream.read()
    try:
        text = body.decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        mark = max(",;\t", key=first.count)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", pd.errors.ParserWarning
            )  # a row longer than the first line would lose values
            frame = pd.read_csv(io.StringIO(text), sep=mark, index_col=False, skipinitialspace=True)
    except (
        ValueError,
        pd.errors.ParserWarning,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        OverflowError,
    ) as error:
        raise InputError(f"table {short(path)!r} cannot be read: {reason(error)}") from None
    frame.columns = [str(name).strip() for name in frame.columns]
    names = first.rstrip("\r").split(mark)
    if doubled := [name for name, count in Counter(name.strip().strip('"') for name in names).items() if count > 1]:
        raise InputError(f"table {short(path)!r} has two columns called {shortened(doubled[0])!r}")
    unnamed = frame.columns[0]
    if names[0].strip() in ("", '""') and _counts_rows(frame[unnamed]):
        frame = frame.drop(columns=[unnamed])
    return frame


def _counts_rows(column: pd.Series[Any]) -> bool:
    return bool(np.array_equal(column.to_numpy(), np.arange(len(column))))


def _target(frame: pd.DataFrame, target: str | None, path: Path) -> str:
    names = list(frame.columns)
    if target is not None:
        if target not in names:
            raise unknown(f"column of {short(path)}", target, names, "--target names one")
        return target
    likely = [name for name in names if name.lower() in TARGETS]
    if len(likely) != 1:
        held = ", ".join(names)[:200]
        raise InputError(f"{short(path)} has the columns {held}; say which is to be predicted: --target NAME")
    return str(likely[0])


def _whole(column: pd.Series[Any], path: Path) -> None:
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        more = f", and in {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise InputError(
            f"{short(path)}: column {shortened(column.name)!r} has no value in row {missing[0] + 1:,}{more}; "
            "fill it or leave such rows out"
        )


def _number(column: pd.Series[Any], path: Path) -> None:
    if column.dtype.kind in "biuf":
        return
    example = next((value for value in column if not _is_number(value)), column.iloc[0])
    raise InputError(
        f"{short(path)}: column {shortened(column.name)!r} holds words, such as {shortened(example)!r}; features are "
        "numbers: leave it out, or give it as numbers"
    )


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _targets(column: pd.Series[Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    if column.dtype.kind in "biuf":
        values = column.to_numpy()
        return values.astype(np.int64) if values.dtype.kind == "b" else values, ()
    words, numbers = np.unique(column.astype(str).to_numpy(dtype=str), return_inverse=True)
    return numbers.astype(np.int64), tuple(str(word) for word in words)
