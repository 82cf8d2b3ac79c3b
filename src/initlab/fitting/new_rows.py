"""New rows of a grown table, drawn from the mean and covariance of the rows that were learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from initlab.errors import InputError, argued, finite_number, seed_number, shown
from initlab.guest.doubles import doubled
from initlab.planning.memory.shards import is_split
from initlab.planning.memory.tensors import DTYPES, check_writable
from initlab.planning.parameters.walk import Slot, walk
from initlab.planning.selection.selectors import matched, texts_of
from initlab.sampling import laws, sample


@argued
def new_rows_(
    model: nn.Module, names: str | Sequence[str], rows: slice, *, seed: int = 0, spread: float = 1.0
) -> tuple[str, ...]:
    """Draw new rows as the old ones lie: N(μ, spread² · Σ), μ and Σ being the old rows' mean and covariance.

    A row drawn with the scheme's own std makes logits unlike every learned one, which a softmax then trains against;
    one drawn among the learned rows changes the model's predictions little.

    Args:
        model: a model whose vocabulary was grown.
        names: selectors of the tables, and of the head's weight and bias: whatever has a row for each token.
        rows: which rows are new: `slice(old, None)`.
        seed: an integer in [0, 2^64); each table draws from its own stream.
        spread: 1 draws among the old rows; 0 gives each new row their mean.

    Returns:
        The names of what was written; all other rows and parameters are as they were.

    Raises:
        InputError: a bad argument, a table without old or new rows, or one that cannot be written; nothing has been.

    Source: Hewitt, Initializing new word embeddings for pretrained language models, 2021.

    >>> table = nn.Embedding(12, 4)
    >>> new_rows_(table, "weight", slice(10, None), spread=0)
    ('weight',)
    >>> torch.allclose(table.weight[11], table.weight[:10].mean(0))
    True
    """
    number, width = seed_number(seed), finite_number("spread", spread, low=0)
    found = walk(model)
    slots = {slot.name: slot for text in texts_of(names, "names") for slot in matched(text, found, "names")}
    made = [(slot, *_drawn(slot, rows, number, width)) for slot in slots.values()]
    with torch.no_grad():
        for slot, place, values in made:
            slot.tensor.detach()[place] = values
            torch.autograd.graph.increment_version(slot.tensor)
    return tuple(slots)


def _drawn(slot: Slot, rows: slice, seed: int, spread: float) -> tuple[slice, torch.Tensor]:
    table, name = slot.tensor.detach(), slot.name
    place = _place(slot, rows)
    if is_split(slot.tensor) or table.dtype not in DTYPES:
        raise InputError(f"{name!r} is sharded or {table.dtype}: its rows cannot be drawn here")
    check_writable(name, table)
    flat = doubled(table.reshape(table.shape[0], -1)).cpu().numpy()
    old = np.delete(flat, np.arange(place.start, place.stop), axis=0)
    if not np.isfinite(old).all():
        raise InputError(f"{name!r} holds nan or inf in its old rows")
    mean = old.mean(0)
    noise = sample(laws.Normal(), flat.shape, seed=seed, name=name, dtype="float64")[place]
    values = mean + spread * noise @ _root_of_covariance(old - mean)
    made = torch.from_numpy(values).reshape(-1, *table.shape[1:])
    return place, made.to(dtype=table.dtype, device=table.device)


def _place(slot: Slot, rows: slice) -> slice:
    if not isinstance(rows, slice) or rows.step not in (None, 1):
        raise InputError(f"rows must be a slice with step 1, such as slice(32000, None); got {shown(rows)}")
    size = int(slot.tensor.shape[0]) if slot.tensor.ndim else 0
    first, last, _ = rows.indices(size)
    if first >= last or last - first == size:
        raise InputError(f"{slot.name!r} has {size} rows, which {rows!r} must part into old and new ones")
    return slice(first, last)


def _root_of_covariance(centred: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Σ^½ of rows about their mean, by their singular values: V S Vᵀ / √(rows − 1)."""
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    root: np.ndarray[Any, Any] = (axes.T * (sizes / np.sqrt(max(1, len(centred) - 1)))) @ axes
    return root
