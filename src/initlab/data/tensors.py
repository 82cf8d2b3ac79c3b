"""The user's data as one pair of tensors: arrays, tensors, a Dataset or a DataLoader, checked before any training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from initlab.data.untrusted import gigabytes, memory_limit
from initlab.errors import InputError
from initlab.rng import random_states_kept, seed_random_states

_EXPECTED = "(X, Y) arrays or tensors, a Dataset, or a DataLoader"


class TooLarge(InputError):
    """Data that memory cannot hold."""


def as_tensors(data: Any, name: str = "data", *, most_bytes: int | None = None) -> tuple[Tensor, Tensor]:
    """`data` as a pair (X, Y) of tensors in memory.

    Floating X becomes float32; whole numbers wider than a byte stay whole (int64: token ids); bytes and booleans, which
    are pixels or flags, become float32 without scaling. Whole-number Y becomes int64 (classes), other Y float32. A
    Dataset or DataLoader is read once, in order, each sample under a random state that its index alone sets: the
    caller's is not moved.

    Args:
        data: (X, Y) arrays, tensors, lists or data frames; a `Split`'s part; a Dataset of (x, y) samples; a DataLoader.
        name: what messages call it.
        most_bytes: the most memory that it may take; default half of what is free.

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
    if isinstance(data, tuple | list) and len(data) == 2:
        x, y = data
    elif _can_be_read(data):
        x, y = _read(data, name, limit)
    else:
        raise InputError(f"{name} must be {_EXPECTED}; got {_kind(data)}")
    features, targets = as_features(x, f"{name} X"), as_targets(y, f"{name} Y")
    if features.ndim == 0 or targets.ndim == 0:
        raise InputError(
            f"{name}: X and Y need a first axis of samples; got shapes {_shape(features)} and {_shape(targets)}"
        )
    if len(features) != len(targets):
        raise InputError(f"{name}: X has {len(features):,} rows and Y {len(targets):,}; they must agree")
    if not features.numel() or not targets.numel():
        raise InputError(f"{name} has no rows (X {_shape(features)}, Y {_shape(targets)}); at least one is needed")
    return features, targets


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


def as_targets(value: Any, name: str) -> Tensor:
    """Y as `as_tensors` holds it."""
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


def _tensor(value: Any, name: str) -> Tensor:
    if isinstance(value, torch.Tensor):
        if value.is_sparse or value.layout != torch.strided:
            raise InputError(f"{name} must be dense; got a tensor of layout {value.layout}")
        if value.is_meta:
            raise InputError(f"{name} must hold values; got a tensor of shape {tuple(value.shape)} on the meta device")
        return value.detach()
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    try:
        if isinstance(value, list | tuple) and value and isinstance(value[0], torch.Tensor):
            return torch.stack([item.detach() for item in value])
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{name} must be numbers of one shape: {_line(error)}") from None
    if array.dtype.kind not in "biufc":
        raise InputError(f"{name} must be numbers; got {_kind(value)} of dtype {array.dtype}")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    native = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def _read(data: Any, name: str, limit: int) -> tuple[Tensor, Tensor]:
    """Every sample of a Dataset, or every batch of a DataLoader, joined."""
    xs: list[Tensor] = []
    ys: list[Tensor] = []
    used, rows = 0, _rows(data)
    with random_states_kept(seed=0):
        for index, (x, y) in enumerate(_pairs(data, name)):
            xs.append(x)
            ys.append(y)
            used += x.numel() * x.element_size() + y.numel() * y.element_size()
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
        return join(xs), join(ys)
    except RuntimeError as error:
        raise InputError(f"{name}: samples differ in shape: {_line(error)}") from None


def _pairs(data: Any, name: str) -> Iterator[tuple[Tensor, Tensor]]:
    for index, item in enumerate(_items(data)):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputError(f"{name}: item {index} must be (x, y); got {_kind(item)}")
        x, y = (part if isinstance(part, torch.Tensor) else _tensor(part, f"{name} item {index}") for part in item)
        yield x.detach(), y.detach()


def _items(data: Any) -> Iterator[Any]:
    """Samples by index where there is one, batches in order for a loader over such a Dataset, else as they come."""
    if is_loader(data):
        dataset = data.dataset
        if not has_index(data):
            yield from data
            return
        for start in range(0, len(dataset), data.batch_size):
            stop = min(start + data.batch_size, len(dataset))
            yield data.collate_fn([sample_at(dataset, i) for i in range(start, stop)])
    elif has_index(data):
        for index in range(len(data)):
            yield sample_at(data, index)
    else:
        yield from data


def has_index(data: Any) -> bool:
    """Whether samples can be fetched by index: a map-style Dataset, or a DataLoader that makes batches of one."""
    if not is_loader(data):
        return hasattr(data, "__getitem__") and hasattr(data, "__len__")
    dataset = data.dataset
    indexed = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__") and not hasattr(dataset, "__iter__")
    return data.batch_size is not None and indexed


def sample_at(dataset: Any, index: int) -> Any:
    """`dataset[index]`; whatever it draws, it draws from the index. To be called within `random_states_kept`."""
    seed_random_states(index)
    return dataset[index]


def _rows(data: Any) -> int:
    """How many items `_items` will give, or 0 when that is not known."""
    try:
        return len(data)
    except TypeError:
        return 0


def _can_be_read(data: Any) -> bool:
    """Whether `data` is a Dataset, a DataLoader or another run of (x, y) items: no array, text or mapping."""
    if _is_array(data) or isinstance(data, str | bytes | dict):
        return False
    return is_loader(data) or isinstance(data, Iterable) or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))


def is_loader(data: Any) -> bool:
    return hasattr(data, "dataset") and hasattr(data, "batch_size") and hasattr(data, "collate_fn")


def _is_array(data: Any) -> bool:
    return hasattr(data, "dtype") or hasattr(data, "to_numpy")


def _kind(value: Any) -> str:
    size = f" of {len(value)}" if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ""
    return f"{type(value).__name__}{size}"


def _shape(value: torch.Tensor) -> tuple[int, ...]:
    return tuple(value.shape)


def _line(error: Exception) -> str:
    return str(error).split("\n")[0][:200]
