"""The user's data as one pair of tensors: arrays, tensors, a Dataset or a DataLoader, checked before any training."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from initlab.data.frames import (
    array_of,
    check_holds_values,
    column_names,
    has_columns,
    holds_arrays,
    is_frame,
    plain_array,
    without_column,
)
from initlab.data.labels import Coding, is_text
from initlab.data.pairs import pair_of, target_key
from initlab.data.reading import is_dataset, is_loader, items
from initlab.data.untrusted import gigabytes, memory_limit
from initlab.errors import InputError, listed, told
from initlab.rng import random_states_kept

_EXPECTED = "(X, Y) arrays or tensors, (a data frame, the name of its target column), a Dataset, or a DataLoader"


class TooLarge(InputError):
    """Data that memory cannot hold."""


def as_tensors(
    data: Any, name: str = "data", *, most_bytes: int | None = None, coding: Coding | None = None
) -> tuple[Tensor, Tensor]:
    """`data` as a pair (X, Y) of tensors in memory.

    Floating X becomes float32; whole numbers wider than a byte stay whole (int64: token ids); bytes and booleans, which
    are pixels or flags, become float32 without scaling. Whole-number Y becomes int64 (classes), text the class numbers
    of its sorted labels, other Y float32. A Dataset or DataLoader is read once, in order, each sample under a random
    state that its index alone sets: the caller's is not moved.

    Args:
        data: (X, Y) arrays, tensors, lists or data frames; a mapping of X and Y; (a data frame or a Hugging Face table,
            the name of its target column); a `Split`'s part; a Dataset of samples (x, y) or {input: x, "label": y};
            a DataLoader.
        name: what messages call it.
        most_bytes: the most memory that it may take; default half of what is free.
        coding: which label is which class, where other data were read with it; it learns the labels of the first.

    Returns:
        X of shape (n, ...), Y of shape (n,) or (n, ...).

    Raises:
        InputError: no pair, no rows, lengths that differ, NaN or infinite features, no numbers; `TooLarge`, a kind of
            it, for more than fits.

    >>> X, Y = as_tensors(([[0.0, 1.0], [1.0, 0.0]], [0, 1]))
    >>> X.shape, Y.dtype
    (torch.Size([2, 2]), torch.int64)
    """
    limit = memory_limit() if most_bytes is None else most_bytes
    coding = Coding() if coding is None else coding
    x, y = _parts(data, name, limit)
    features, targets = as_features(x, f"{name} X"), as_targets(y, f"{name} Y", coding)
    if features.ndim == 0 or targets.ndim == 0:
        raise InputError(
            f"{name}: X and Y need a first axis of samples; got shapes {_shape(features)} and {_shape(targets)}"
        )
    if len(features) != len(targets):
        raise InputError(f"{name}: X has {len(features):,} rows and Y {len(targets):,}; they must agree")
    if not features.numel() or not targets.numel():
        raise InputError(f"{name} has no rows (X {_shape(features)}, Y {_shape(targets)}); at least one is needed")
    return features, targets


def _parts(data: Any, name: str, limit: int) -> tuple[Any, Any]:
    """(X, Y) of any form that `as_tensors` takes."""
    if isinstance(data, tuple | list) and len(data) == 2:
        check_holds_values(data[0], f"{name}[0]")
        if isinstance(data[1], str) and has_columns(data[0]):
            return without_column(data[0], data[1], name)
        return data[0], data[1]
    check_holds_values(data, name)
    if isinstance(data, Mapping):
        return pair_of(data, name)
    names = column_names(data) if has_columns(data) else []
    if len(names) > 2 or (names and is_frame(data)):
        likely = target_key(dict.fromkeys(names)) or names[-1]
        raise InputError(
            f"{name} has the columns {listed(names)}; give it with the name of the one to be predicted, such as "
            f"({name}, {likely!r})"
        )
    if _can_be_read(data):
        return _read(data, name, limit)
    raise InputError(f"{name} must be {_EXPECTED}; got {_kind(data)}")


def remarks(x: Tensor, y: Tensor, name: str = "data") -> list[str]:
    """What is allowed and yet worth saying about (X, Y): one class, constant features, a single sample.

    >>> import torch
    >>> remarks(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    ['data: all 2 features are constant', 'data: all 4 targets are the same, 0']
    """
    found = [f"{name}: a single sample; nothing that compares samples can be judged"] if len(x) == 1 else []
    flat = x.reshape(len(x), -1)
    constant = int((flat == flat[:1]).all(dim=0).sum()) if len(x) > 1 else 0
    if constant == flat.shape[1]:
        found.append(f"{name}: all {constant:,} features are constant")
    elif constant:
        found.append(f"{name}: {constant:,} of {flat.shape[1]:,} features are constant")
    if len(y) > 1 and torch.equal(y, y[:1].expand_as(y)):
        value = f", {y.flatten()[0].item():g}" if y[0].numel() == 1 else ""
        found.append(f"{name}: all {len(y):,} targets are the same{value}")
    reach = float(x.abs().amax()) if x.is_floating_point() else 0.0
    if reach > 100:
        found.append(f"{name}: features reach {reach:,.0f}; schemes expect inputs near mean 0 and std 1")
    return found


def as_features(value: Any, name: str) -> Tensor:
    """X as `as_tensors` holds it."""
    x = _tensor(value, name)
    if x.dtype in (torch.uint8, torch.int8, torch.bool) or x.is_floating_point():
        x = x.to(torch.float32)
    elif not x.is_complex():
        return x.to(torch.int64)
    else:
        raise InputError(f"{name} must be real numbers; got {x.dtype}")
    _finite(x, name)
    return x


def as_targets(value: Any, name: str, coding: Coding | None = None) -> Tensor:
    """Y as `as_tensors` holds it; labels only where there is a coding for them."""
    if coding is not None and (text := _text_in(value)) is not None:
        return coding.coded(text, name)
    y = _tensor(value, name)
    if y.is_complex():
        raise InputError(f"{name} must be real numbers; got {y.dtype}")
    if y.is_floating_point():
        y = y.to(torch.float32)
        _finite(y, name)
        return y
    y = y.to(torch.int64)
    return y.squeeze(1) if y.ndim == 2 and y.shape[1] == 1 else y


def _finite(values: Tensor, name: str) -> None:
    bad = ~values.isfinite()
    count = int(bad.sum())
    if count:
        first = int(bad.reshape(len(values), -1).any(dim=1).nonzero()[0, 0]) if values.ndim else 0
        raise InputError(f"{name} has {count:,} NaN or infinite values, the first in row {first}; give finite numbers")


def _text_in(value: Any) -> Any | None:
    """An array of the labels in `value`; None where it holds no text."""
    if isinstance(value, torch.Tensor):
        return None
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    elif isinstance(value, list | tuple):
        if not any(isinstance(item, str) for item in value):
            return None
        value = np.asarray(value, dtype=object)
    found = np.asarray(value) if isinstance(value, np.ndarray | str) else None
    return found if found is not None and is_text(found) else None


def _tensor(value: Any, name: str) -> Tensor:
    if isinstance(value, torch.Tensor):
        if value.is_sparse or value.layout != torch.strided:
            raise InputError(f"{name} must be dense; got a tensor of layout {value.layout}")
        if value.is_meta:
            raise InputError(f"{name} must hold values; got a tensor of shape {tuple(value.shape)} on the meta device")
        return value.detach()
    if holds_arrays(value):
        value = array_of(value, name)
    try:
        if isinstance(value, list | tuple) and value and isinstance(value[0], torch.Tensor):
            return torch.stack([item.detach() for item in value])
        array = plain_array(value, name)
    except InputError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{name} must be numbers of one shape: {_line(error)}") from None
    if array.dtype.kind not in "biufc":
        raise InputError(f"{name} must be numbers; got {_kind(value)} of dtype {array.dtype}")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    native = np.asarray(array, order="C")
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def _read(data: Any, name: str, limit: int) -> tuple[Any, Any]:
    """Every sample of a Dataset, or every batch of a DataLoader, joined; labels as one array."""
    xs: list[Tensor] = []
    ys: list[Any] = []
    used, rows = 0, _rows(data)
    with random_states_kept(seed=0):
        for index, (x, y) in enumerate(_pairs(data, name)):
            xs.append(x)
            ys.append(y)
            used += sum(part.nbytes for part in (x, y))
            expected = used * rows // (index + 1) if rows else used
            if max(used, expected) > limit:
                size = gigabytes(max(used, expected))
                raise TooLarge(
                    f"{name} takes about {size} in memory and {gigabytes(limit)} are to be had; "
                    "pass a part of it, such as torch.utils.data.Subset(data, range(10_000))"
                )
    if not xs:
        raise InputError(f"{name} has no rows; at least one is needed")
    join = torch.cat if is_loader(data) else torch.stack
    try:
        return join(xs), join(ys) if isinstance(ys[0], Tensor) else np.concatenate([np.atleast_1d(y) for y in ys])
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{name}: samples differ in shape: {_line(error)}") from None


def _pairs(data: Any, name: str) -> Iterator[tuple[Tensor, Any]]:
    for index, item in enumerate(_items(data, name)):
        x, y = pair_of(item, f"{name}: item {index}")
        text = _text_in(y)
        yield _part(x, f"{name} item {index}"), _part(y, f"{name} item {index}") if text is None else text


def _items(data: Any, name: str) -> Iterator[Any]:
    """`items(data)`; what a sample raises becomes one line that says which."""
    found = items(data)
    for index in itertools.count():
        with told(f"{name}: reading item {index} of the {type(data).__name__}"):
            try:
                item = next(found)
            except StopIteration:
                return
        yield item


def _part(value: Any, name: str) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else _tensor(value, name)


def _rows(data: Any) -> int:
    """How many items `items` will give, or 0 when that is not known."""
    try:
        return len(data)
    except TypeError:
        return 0


def _can_be_read(data: Any) -> bool:
    """Whether `data` is a Dataset, a DataLoader or another run of (x, y) items: no array or text."""
    if _is_array(data) or isinstance(data, str | bytes):
        return False
    return (
        is_loader(data)
        or is_dataset(data)
        or isinstance(data, Iterable)
        or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))
    )


def _is_array(data: Any) -> bool:
    return hasattr(data, "dtype") or holds_arrays(data)


def _kind(value: Any) -> str:
    size = f" of {len(value)}" if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ""
    return f"{type(value).__name__}{size}"


def _shape(value: torch.Tensor) -> tuple[int, ...]:
    return tuple(value.shape)


def _line(error: Exception) -> str:
    return str(error).split("\n")[0][:200]
