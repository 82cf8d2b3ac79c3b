"""One process of a group: a sharded model's groups against those of the whole model, and a step with them."""

from __future__ import annotations

from typing import Any

import torch
from scaling_zoo import GPT, TOKENS, Llama
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import initlab
from initlab.sampling import canonical_name

KEYS = ("lr", "weight_decay", "eps")


def settings(model: nn.Module, groups: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Parameter -> what its group says of it."""
    names = {id(parameter): canonical_name(name) for name, parameter in model.named_parameters()}
    return {names[id(p)]: tuple(group[key] for key in KEYS) for group in groups for p in group["params"]}


def check(build: type[nn.Module], rule: str, world: int) -> str:
    """ "" where the shards' groups are those of the whole and a step moves every shard."""
    given: dict[str, Any] = {"rule": rule, "example_inputs": TOKENS, "weight_decay": 0.1, "eps": 1e-8}
    if rule != "u_mup":
        given["base"] = build(32)
    whole, sharded = build(64), build(64)
    for block in sharded.blocks:
        fully_shard(block, mesh=init_device_mesh("cpu", (world,)))
    fully_shard(sharded, mesh=init_device_mesh("cpu", (world,)))
    groups = initlab.param_groups(sharded, "adamw", 0.01, **given)
    if not all(isinstance(parameter, DTensor) for parameter in sharded.parameters()):
        return "not sharded"
    if settings(sharded, groups) != settings(whole, initlab.param_groups(whole, "adamw", 0.01, **given)):
        return "other groups than the whole model's"
    sharded(TOKENS).square().mean().backward()
    torch.optim.AdamW(groups).step()
    return "" if all(p.full_tensor().isfinite().all() for p in sharded.parameters()) else "not finite after a step"


def main(rank: int, world: int) -> None:
    torch.manual_seed(0)
    for build in (GPT, Llama):
        for rule in ("mup", "u_mup"):
            said = check(build, rule, world)
            if rank == 0:
                print(f"BAD {build.__name__} {rule} {said}" if said else f"ok {build.__name__} {rule}", flush=True)
