"""One process of a group: draws sharded models' own start within `streams`; the shards against one process."""

from __future__ import annotations

from collections.abc import Callable

import torch
from shard_worker import Model as Layers
from shard_worker import compare, fsdp, place, report, tensor_parallel
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard

import initlab

Build = Callable[[], nn.Module]


def start(model: nn.Module) -> None:
    """A start as libraries write it: truncated, scaled, drawn beside, orthogonal, as torch's own."""
    with torch.no_grad():
        nn.init.trunc_normal_(model.up.weight, std=0.02)
        model.down.weight.normal_(0, 0.02).mul_(0.5)
        model.odd.weight.copy_(torch.randn_like(model.odd.weight) * 0.1)
        nn.init.kaiming_uniform_(model.conv.weight, a=5**0.5)
        nn.init.orthogonal_(model.lstm.weight_hh_l0)
        nn.init.xavier_normal_(model.lstm.weight_ih_l0)
        model.embed.weight.uniform_(-0.95, 0.95).erfinv_()
        model.odd.bias.exponential_(2.0)
        for name, parameter in model.named_parameters():
            if "bias" in name and "odd" not in name:
                nn.init.zeros_(parameter)
        nn.init.ones_(model.norm.weight)


def drawn(model: nn.Module) -> tuple[nn.Module, initlab.StreamLog]:
    with initlab.streams(model, seed=17) as log:
        start(model)
    return model, log


def cases(world: int) -> list[tuple[str, Build, torch.dtype]]:
    line = init_device_mesh("cpu", (world,))
    found: list[tuple[str, Build, torch.dtype]] = [
        ("Shard(0)", lambda: place(Layers(), line, [Shard(0)]), torch.float32),
        ("Shard(1)", lambda: place(Layers(), line, [Shard(1)]), torch.float32),
        ("Replicate", lambda: place(Layers(), line, [Replicate()]), torch.float32),
        ("FSDP2", lambda: fsdp(line), torch.float32),
        ("FSDP2 nested", lambda: fsdp(line, inner=True), torch.float32),
        ("FSDP2 float64", lambda: fsdp(line, dtype=torch.float64), torch.float64),
        ("FSDP2 from meta", lambda: fsdp(line, meta=True), torch.float32),
        ("tensor parallel", lambda: tensor_parallel(Layers(), line), torch.float32),
    ]
    if world == 4:
        square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
        found.append(("HSDP", lambda: fsdp(square), torch.float32))

        def both() -> nn.Module:
            return fully_shard(tensor_parallel(Layers(), square["tp"]), mesh=square["dp"])

        found.append(("FSDP2 and tensor parallel", both, torch.float32))
    return found


def main(rank: int, world: int) -> None:
    for name, build, dtype in cases(world):
        model, log = drawn(build())
        whole, expected = drawn(Layers(dtype))
        trouble = compare(model, {n: p.detach() for n, p in whole.named_parameters()})
        if not trouble and log.missed != expected.missed:
            trouble = f"missed {log.missed}"
        if not trouble and [r.draws for r in log.records] != [r.draws for r in expected.records]:
            trouble = "other draws"
        report(rank, name, trouble)
