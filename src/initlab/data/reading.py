"""A Dataset or DataLoader read without leaving a trace: its samples by index, its batches, or one batch of it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, default_collate

from initlab.errors import InputError, told
from initlab.rng import random_states_kept, seed_random_states

SAMPLES = 64  # of a Dataset, where nothing says how many make a batch
_DEEPEST = 6  # samplers within samplers; an object that answers to every name has no last one


def items(data: Any) -> Iterator[Any]:
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
    return data.batch_size is not None and _indexed(data.dataset)


def sample_at(dataset: Any, index: int) -> Any:
    """`dataset[index]`; whatever it draws, it draws from the index. To be called within `random_states_kept`."""
    seed_random_states(index)
    return dataset[index]


def is_loader(data: Any) -> bool:
    """Whether it is a DataLoader, by what it has."""
    return hasattr(data, "dataset") and hasattr(data, "batch_size") and hasattr(data, "collate_fn")


def is_dataset(data: Any) -> bool:
    """Whether it is a torch Dataset, or one of Hugging Face's."""
    return isinstance(data, Dataset) or (hasattr(data, "column_names") and hasattr(data, "features"))


def one_batch(data: Any, name: str) -> tuple[Any, str]:
    """A batch of a DataLoader or Dataset, and where it is from; nothing of it, or of any random state, is moved.

    Of a loader it is the first batch as its sampler has it, collated by its own function in this process; of a Dataset
    64 samples at equal distances. The same each time.

    Args:
        data: a DataLoader or a Dataset.
        name: what messages call it.

    Raises:
        InputError: it is empty, it raises, or reading it would use it up.

    >>> from torch.utils.data import TensorDataset
    >>> batch, words = one_batch(TensorDataset(torch.arange(200.0)), "inputs")
    >>> batch[0].shape, words
    (torch.Size([64]), '64 of 200 samples of the TensorDataset, at equal distances')
    """
    kind = type(data).__name__
    with random_states_kept(seed=0), _generators_kept(data), told(f"{name}: reading the {kind}"):
        if is_loader(data):
            return _loaded(data, name), f"the first batch of the {kind}"
        if isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
            samples = list(itertools.islice(_afresh(data, name), SAMPLES))
            return _collated(_some(samples, name)), f"the first {len(samples)} samples of the {kind}"
        size = len(data)
        wanted = np.linspace(0, size - 1, min(size, SAMPLES)).round().astype(int).tolist() if size else []
        samples = [sample_at(data, index) for index in wanted]
        where = ", at equal distances" if len(samples) < size else ""
        return _collated(_some(samples, name)), f"{len(samples)} of {size} samples of the {kind}{where}"


def _loaded(loader: Any, name: str) -> Any:
    dataset = loader.dataset
    if not _indexed(dataset):
        source = _afresh(dataset, name)
        if loader.batch_size is None:
            return loader.collate_fn(_some(list(itertools.islice(source, 1)), name)[0])
        return loader.collate_fn(_some(list(itertools.islice(source, loader.batch_size)), name))
    batches = getattr(loader, "batch_sampler", None)
    order = loader.sampler if batches is None else batches
    first = list(itertools.islice(iter(order), 1))
    if not first:
        raise InputError(
            f"{name} has no batch: {len(dataset)} samples, drop_last={getattr(loader, 'drop_last', False)}"
        )
    if batches is None:
        return loader.collate_fn(sample_at(dataset, first[0]))
    return loader.collate_fn([sample_at(dataset, index) for index in first[0]])


def _indexed(dataset: Any) -> bool:
    return hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__") and not isinstance(dataset, IterableDataset)


def _afresh(data: Any, name: str) -> Iterator[Any]:
    found: Iterator[Any] = iter(data)
    if found is data:
        raise InputError(f"{name}: reading the {type(data).__name__} would use it up; pass one batch of it")
    return found


def _some(samples: list[Any], name: str) -> list[Any]:
    if not samples:
        raise InputError(f"{name} has no samples; at least one is needed")
    return samples


def _collated(samples: list[Any]) -> Any:
    return default_collate([_with_arrays(sample) for sample in samples])


def _with_arrays(sample: Any) -> Any:
    """A sample with its lists of numbers as arrays, which is what Hugging Face's datasets give."""
    if isinstance(sample, Mapping):
        return {key: _with_arrays(value) for key, value in sample.items()}
    if isinstance(sample, list) and sample and all(isinstance(value, int | float) for value in sample):
        array = np.asarray(sample)
        return array.astype(np.float32) if array.dtype == np.float64 else array
    return sample


@contextlib.contextmanager
def _generators_kept(data: Any) -> Iterator[None]:
    """The generators of a loader and of its samplers stand afterwards where they stood."""
    holders, own = [data], dict[int, torch.Generator]()
    for _ in range(_DEEPEST):  # samplers hold samplers
        generators = (getattr(holder, "generator", None) for holder in holders)
        own |= {id(generator): generator for generator in generators if isinstance(generator, torch.Generator)}
        parts = (getattr(holder, name, None) for holder in holders for name in ("sampler", "batch_sampler"))
        holders = list({id(part): part for part in parts if part is not None}.values())
    states = [(generator, generator.get_state()) for generator in own.values()]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)
