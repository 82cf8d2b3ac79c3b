"""ZeRO-3's flat partitions, by a stand-in of the attributes that DeepSpeed gives its parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError
from initlab.planning.memory import partitions
from initlab.planning.memory.partitions import boxes


def _net() -> nn.ModuleDict:
    torch.manual_seed(0)
    net = nn.ModuleDict(
        {
            "embed": nn.Embedding(13, 6, padding_idx=2),
            "fc": nn.Linear(6, 11),
            "conv": nn.Conv2d(3, 5, 3),
            "norm": nn.LayerNorm(7),
            "head": nn.Linear(6, 13, bias=False),
        }
    )
    net["head"].weight = net["embed"].weight
    return net


def _partitioned(net: nn.Module, rank: int, world: int) -> nn.Module:
    """Every parameter as DeepSpeed leaves it: empty, its partition (padded at the end) in `ds_tensor`."""
    for parameter in net.parameters():
        size = math.ceil(parameter.numel() / world)
        flat = torch.cat([parameter.detach().reshape(-1), torch.full((size * world - parameter.numel(),), 77.0)])
        parameter.ds_shape, parameter.ds_numel = parameter.shape, parameter.numel()  # type: ignore[attr-defined]
        parameter.ds_tensor = flat[rank * size : (rank + 1) * size].clone()  # type: ignore[attr-defined]
        parameter.data = torch.empty(0)
    return net


def _gathered(nets: list[nn.Module]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in nets[0].named_parameters():
        flat = torch.cat([net.get_parameter(name).ds_tensor for net in nets])  # type: ignore[attr-defined]
        assert (flat[parameter.ds_numel :] == 77).all(), "the padding was written"  # type: ignore[attr-defined]
        yield name, flat[: parameter.ds_numel].view(parameter.ds_shape)  # type: ignore[attr-defined]


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "policy", ["auto", "xavier_uniform", "orthogonal", "sparse", "gpt2", {"fc": "he_normal"}, {"*.weight": "keep"}]
)
def test_partitions_hold_what_the_whole_would(world: int, policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _net()
    expected = initlab.init_(whole, policy, seed=5)
    nets = []
    for rank in range(world):
        monkeypatch.setattr(partitions, "_rank", lambda parameter, rank=rank: rank)
        net = _partitioned(_net(), rank, world)
        plan = initlab.init_(net, policy, seed=5)
        assert [(e.name, e.shape, e.law) for e in plan.entries] == [(e.name, e.shape, e.law) for e in expected.entries]
        assert all(p.numel() == 0 for p in net.parameters())
        assert net["head"].weight is net["embed"].weight
        nets.append(net)
    for name, found in _gathered(nets):
        torch.testing.assert_close(found, whole.get_parameter(name).detach(), rtol=1e-6, atol=1e-7, msg=name)


def test_a_plan_sees_the_whole_shapes() -> None:
    plan = initlab.plan(_partitioned(_net(), 0, 2))
    assert plan["conv.weight"].shape == (5, 3, 3, 3)
    assert plan["fc.weight"].fans.fan_in == 6


def test_a_partition_that_is_not_in_memory_is_refused_with_nothing_written() -> None:
    net = _partitioned(_net(), 0, 2)
    before = net["fc"].weight.ds_tensor.clone()
    net["norm"].weight.ds_tensor = None
    with pytest.raises(InputError, match="its partition is not in memory"):
        initlab.init_(net)
    assert torch.equal(net["fc"].weight.ds_tensor, before)
    with pytest.raises(InputError, match="GatheredParameters"), initlab.streams(_partitioned(_net(), 0, 2)):
        pass


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (1, 5, 1, 2)])
def test_boxes_are_the_run_in_order(shape: tuple[int, ...]) -> None:
    numbers = torch.arange(math.prod(shape)).view(shape)
    for start in range(numbers.numel() + 1):
        for stop in range(start, numbers.numel() + 1):
            found = [int(n) for box in boxes(shape, start, stop) for n in numbers[box].reshape(-1)]
            assert found == list(range(start, stop))
