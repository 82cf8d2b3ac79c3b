"""Data, models and indices on different devices: moved, or refused by a line. Fake tensors stand in for a GPU's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest_comparison import tiny_build, tiny_data
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.data import DataLoader, TensorDataset

import initlab
from initlab.comparison.arms import like_model
from initlab.comparison.tasks import device_name
from initlab.errors import InputError
from initlab.guest.inputs import tensors_in
from initlab.training.batches import Order, source_of
from initlab.training.engines.runs import lost_score, slices
from initlab.training.sources import InMemory, prepared
from initlab.training.task import Task, first_samples


def on_gpu() -> InMemory:
    """Samples on a GPU that is not there: an operation that mixes devices raises, as on a real one."""
    return InMemory(torch.empty(8, 6, device="cuda"), torch.empty(8, dtype=torch.int64, device="cuda"))


FETCHES: dict[str, Callable[[InMemory], Any]] = {
    "the first samples": lambda source: first_samples(source, 3),
    "a lost score": lost_score,
    "an order made on the CPU": lambda source: source.gather(Order(8, 4, True, 0).batch(0)),
    "an index on the GPU": lambda source: source.gather(torch.arange(3, device="cuda")),
    "an evaluation": lambda source: list(slices(source, 3, "cuda")),
    "an evaluation with its index elsewhere": lambda source: list(slices(source, 3, "cpu")),
}


@pytest.mark.parametrize("fetch", FETCHES.values(), ids=FETCHES)
def test_samples_on_a_gpu_are_fetched_by_any_index(fetch: Callable[[InMemory], Any]) -> None:
    with FakeTensorMode():
        found = tensors_in(fetch(on_gpu()))
        assert all(tensor.device.type == "cuda" for tensor in found)


@pytest.mark.parametrize(("x", "y"), [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_data_is_moved_to_where_runs_are_trained(x: str, y: str, device: str) -> None:
    with FakeTensorMode():
        pair = torch.empty(8, 6, device=x), torch.empty(8, dtype=torch.int64, device=y)
        source = source_of(pair, Task(tiny_build, pair, pair, device=device))
        assert {str(part.device) for part in source.gather(torch.arange(2))} == {device}


def test_examples_go_to_where_build_makes_the_model() -> None:
    with FakeTensorMode():
        model = torch.nn.ParameterList([torch.nn.Parameter(torch.empty(2, 6, device="cuda"))])
        assert like_model(model, torch.empty(2, 6)).device.type == "cuda"
        assert prepared(torch.empty(2, device="cuda"), torch.float32, "cpu").device.type == "cpu"


def test_a_device_that_is_not_here_is_refused_unless_the_workers_are_elsewhere() -> None:
    data = tiny_data()
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"device must be 'cpu' \(no other is here\); got 'cuda'"):
            initlab.compare(tiny_build, data, data, ["zeros"], device="cuda")
    with pytest.raises(InputError, match="device must be 'cpu'"):
        device_name("tpu", elsewhere=True)
    assert device_name("cuda", elsewhere=True) == "cuda"


def test_a_loader_that_draws_its_order_gives_the_samples_of_its_dataset() -> None:
    x, y = tiny_data()
    loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(3))
    given: dict[str, Any] = {"schemes": ["he_normal"], "seeds": 1, "steps": 5, "engine": "sequential"}
    one, other = (initlab.compare(tiny_build, data, (x, y), **given) for data in (loader, (x, y)))
    assert one.runs[0].tests.tolist() == other.runs[0].tests.tolist()
