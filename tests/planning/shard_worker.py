"""One process of a group: shards models in every way, fills the shards, and compares what they hold with the whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import initlab
from initlab.sampling import canonical_name

Policy = Any
Build = Callable[[], nn.Module]


class Model(nn.Module):
    """Uneven sizes on purpose: 13, 11, 7 and 5 divide by neither 2 nor 4."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.embed = nn.Embedding(13, 8, padding_idx=5, dtype=dtype)
        self.up = nn.Linear(8, 24, dtype=dtype)
        self.down = nn.Linear(24, 8, dtype=dtype)
        self.odd = nn.Linear(7, 11, dtype=dtype)
        self.conv = nn.Conv2d(6, 10, 3, groups=2, dtype=dtype)
        self.lstm = nn.LSTM(5, 7, dtype=dtype)
        self.norm = nn.LayerNorm(8, dtype=dtype)


class Net(nn.Module):
    """With a forward pass, tied weights and a buffer, so that what feeds each layer can be read from a recording."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(13, 6)
        self.register_buffer("places", torch.linspace(-1, 1, 30).view(5, 6))
        self.up = nn.Linear(6, 14)
        self.down = nn.Linear(14, 6)
        self.head = nn.Linear(6, 13, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.embed(ids) + self.places
        return self.head(hidden + self.down(torch.relu(self.up(hidden))))


IDS = torch.arange(10).view(2, 5)


@cache
def whole(policy: Policy, recorded: bool, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """What one process writes."""
    model = Net() if recorded else Model(dtype)
    initlab.init_(model, policy, seed=17, example_inputs=IDS if recorded else None)
    return {name: p.detach() for name, p in model.named_parameters()}


def place(model: nn.Module, mesh: DeviceMesh, placements: list[Any]) -> nn.Module:
    """Every parameter as a DTensor; a placement along an axis that it lacks becomes a replica."""
    placed: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) not in placed:
                ways = [p if not isinstance(p, Shard) or p.dim < parameter.ndim else Replicate() for p in placements]
                placed[id(parameter)] = nn.Parameter(distribute_tensor(parameter.detach(), mesh, ways))
            module.register_parameter(name, placed[id(parameter)])
    return model


def tensor_parallel(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
    return parallelize_module(model, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})


def fsdp(mesh: DeviceMesh, *, inner: bool = False, meta: bool = False, dtype: torch.dtype = torch.float32) -> nn.Module:
    with torch.device("meta" if meta else "cpu"):
        model = Model(dtype)
    if inner:
        fully_shard(model.up, mesh=mesh)
    fully_shard(model, mesh=mesh)
    if meta:
        model.to_empty(device="cpu")
    return model


def net_fsdp(mesh: DeviceMesh, *, parallel: DeviceMesh | None = None) -> nn.Module:
    model: nn.Module = Net()
    if parallel is not None:
        model = tensor_parallel(model, parallel)
    fully_shard(model.up, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def gathered_is_refused(mesh: DeviceMesh) -> str:
    """What is written into the parameters that FSDP has gathered would be lost."""
    model = net_fsdp(mesh)
    model(IDS)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    try:
        initlab.init_(model, seed=17)
    except initlab.InputError as error:
        if "call .reshard() on it first" not in str(error):
            return str(error)
    else:
        return "not refused"
    return "" if all(torch.equal(p, before[name]) for name, p in model.named_parameters()) else "written"


def compare(model: nn.Module, expected: dict[str, torch.Tensor]) -> str:
    for wrapped, parameter in model.named_parameters():
        name = canonical_name(wrapped)
        full = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
        if full.dtype != expected[name].dtype or not torch.equal(full.detach(), expected[name]):
            return f"{name} differs"
    return ""


def recorded_cases(world: int) -> list[tuple[str, Build, Policy]]:
    """Sharded models whose plan is read from a forward pass: the same plan as on one process."""
    line = init_device_mesh("cpu", (world,))
    found: list[tuple[str, Build, Policy]] = [
        ("recorded, FSDP2", lambda: net_fsdp(line), "auto"),
        ("recorded, FSDP2 compiled", lambda: torch.compile(net_fsdp(line), backend="eager"), "auto"),
        ("recorded, tensor parallel", lambda: tensor_parallel(Net(), line), "auto"),
        ("recorded, Shard(0) everywhere", lambda: place(Net(), line, [Shard(0)]), "gpt2"),
    ]
    if world == 4:
        square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
        found.append(("recorded, HSDP", lambda: net_fsdp(square), "auto"))
        found.append(
            ("recorded, FSDP2 and tensor parallel", lambda: net_fsdp(square["dp"], parallel=square["tp"]), "gpt2")
        )
    return found


def cases(world: int) -> list[tuple[str, Build, torch.dtype, Policy]]:
    line = init_device_mesh("cpu", (world,))
    found: list[tuple[str, Build, torch.dtype, Policy]] = []

    def add(
        name: str, build: Callable[[], nn.Module], policy: Policy = "auto", dtype: torch.dtype = torch.float32
    ) -> None:
        found.append((name, build, dtype, policy))

    for policy in ("he_normal", "xavier_uniform", "truncated_normal", "orthogonal", "sparse"):
        add(f"Shard(0) {policy}", lambda: place(Model(), line, [Shard(0)]), policy)
    add("Shard(1) orthogonal", lambda: place(Model(), line, [Shard(1)]), "orthogonal")
    add("Shard(1) normal", lambda: place(Model(), line, [Shard(1)]), "he_normal")
    add("Shard(2)", lambda: place(Model(), line, [Shard(2)]))
    add("Replicate", lambda: place(Model(), line, [Replicate()]))
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        add(f"FSDP2 {dtype}", lambda dtype=dtype: fsdp(line, dtype=dtype), "auto", dtype)
    add("FSDP2 nested", lambda: fsdp(line, inner=True))
    add("FSDP2 from meta", lambda: fsdp(line, meta=True), "gpt2")
    add("tensor parallel", lambda: tensor_parallel(Model(), line))
    if world == 4:
        square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
        add("HSDP", lambda: fsdp(square))
        add("HSDP from meta, orthogonal", lambda: fsdp(square, meta=True), "orthogonal")
        for ways in ([Shard(0), Shard(0)], [Shard(0), Shard(1)], [Shard(1), Shard(0)], [Replicate(), Shard(1)]):
            add(f"2-D {ways}", lambda ways=ways: place(Model(), square, ways), "he_normal")

        def both() -> nn.Module:
            model = tensor_parallel(Model(), square["tp"])
            return fully_shard(model, mesh=square["dp"])

        add("FSDP2 and tensor parallel (strided shards)", both)
        add("FSDP2 and tensor parallel, orthogonal", both, "orthogonal")
    return found


def main(rank: int, world: int) -> None:
    for name, build, dtype, policy in cases(world):
        report(rank, name, trouble_with(build, policy, dtype))
    for name, build, policy in recorded_cases(world):
        report(rank, name, trouble_with(build, policy, torch.float32, recorded=True))
    report(rank, "gathered parameters", gathered_is_refused(init_device_mesh("cpu", (world,))))


def trouble_with(build: Build, policy: Policy, dtype: torch.dtype, *, recorded: bool = False) -> str:
    model = build()
    plan = initlab.init_(model, policy, seed=17, example_inputs=IDS if recorded else None)
    split = [e for e in plan.entries if e.law is not None and e.law.needs_whole]
    said = all("made whole" in e.reason for e in split if _is_split(model, e.name))
    if not said:
        return "the plan does not say that a sharded tensor is made whole"
    return compare(model, whole(policy, recorded, dtype))


def report(rank: int, name: str, trouble: str) -> None:
    if rank == 0:
        print(f"BAD {name}: {trouble}" if trouble else f"ok {name}", flush=True)


def _is_split(model: nn.Module, name: str) -> bool:
    parameter = dict(model.named_parameters())[name]
    return isinstance(parameter, DTensor) and parameter.to_local().shape != parameter.shape
