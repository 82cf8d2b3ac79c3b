"""Data that memory cannot hold: the samples that a stream gives are those that would have been in memory."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from initlab.data import Stream, as_tensors, in_memory_or_streamed
from initlab.errors import InputError


class Drawn(Dataset[Any]):
    """Each sample augmented by every generator there is."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        noise = torch.rand(3) + np.random.rand() + random.random()
        return noise.numpy().astype(np.float64) + index, index % 3


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(torch.ones(4), 1)] * 100)


def pictures() -> Dataset[Any]:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randint(0, 256, (10, 1, 4, 4), generator=generator).to(torch.uint8), torch.arange(10) % 3
    )


DATA: dict[str, Any] = {
    "bytes": pictures,
    "random": Drawn,
    "tokens": lambda: TensorDataset(torch.arange(40).reshape(10, 4), torch.arange(10)[:, None]),
    "regression": lambda: TensorDataset(torch.rand(9, 2, dtype=torch.float64), torch.rand(9, 1)),
    "loader": lambda: DataLoader(pictures(), batch_size=4, shuffle=True),
    "list": lambda: [([0.5, 1.5], 0), ([2.5, 3.5], 1), ([4.5, 5.5], 1)],
    "numpy scalars": lambda: [(np.float64(i), np.int32(i % 2)) for i in range(5)],
}


def test_a_sample_that_raises_is_named() -> None:
    class Corrupt(Drawn):
        def __getitem__(self, index: int) -> Any:
            raise OSError("cut short")

    for data in (Corrupt(), DataLoader(Corrupt())):
        with pytest.raises(InputError, match=r"photos: reading item 7 of the Corrupt failed: OSError: cut short"):
            Stream(data, "photos")[7]


@pytest.mark.parametrize("name", DATA)
def test_a_stream_gives_what_memory_would_hold(name: str) -> None:
    torch.manual_seed(5)
    data = DATA[name]()
    kept = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    x, y = as_tensors(data)
    stream = in_memory_or_streamed(data, most_bytes=1)
    assert isinstance(stream, Stream)
    assert len(stream) == len(x)
    for index in reversed(range(len(x))):
        one, target = stream[index]
        assert one.dtype == x.dtype
        assert target.dtype == y.dtype
        assert torch.equal(one, x[index])
        assert torch.equal(target, y[index])
    assert torch.equal(torch.get_rng_state(), kept[0])
    assert (np.random.get_state()[1] == kept[1]).all()
    assert random.getstate() == kept[2]


def test_what_fits_is_read_into_memory() -> None:
    assert isinstance(in_memory_or_streamed(pictures()), tuple)


def test_what_has_no_index_cannot_be_streamed() -> None:
    for data in (Endless(), DataLoader(Endless(), batch_size=2)):
        with pytest.raises(InputError, match=r"takes about .* in memory"):
            in_memory_or_streamed(data, "train", most_bytes=1)


def test_a_bad_sample_is_named() -> None:
    stream = Stream([(torch.tensor([1.0]), 0), (torch.tensor([float("nan")]), 0), (torch.ones(1), 0, 7)], "train")
    assert stream[0][0].item() == 1
    with pytest.raises(InputError, match="train item 1 X has 1 NaN"):
        stream[1]
    with pytest.raises(InputError, match=r"train: item 2 must be \(x, y\)"):
        stream[2]
