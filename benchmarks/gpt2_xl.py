"""GPT-2-XL (1.56 B parameters, bfloat16) from the meta device to filled: initlab's plan beside torch.nn.init's loop.

Both fill a model that has just been materialised with `to_empty`, with the same laws, in turns, each in its own
process: the allocator keeps freed memory, so in one only the first would pay for the first touch of every page. Peak
memory is the rise of the resident set while initlab plans and writes.

Run as `python -m benchmarks.gpt2_xl`, or with `--layers 4` for a short one.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn

import initlab
from initlab.planning.planner import plan as make
from initlab.sampling import laws


def build(layers: int) -> nn.Module:
    """GPT-2-XL on the meta device: 48 layers of width 1600."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=layers, n_embd=1600, n_head=25)
    with torch.device("meta"):
        return GPT2LMHeadModel(config).to(torch.bfloat16)


def by_initlab(model: nn.Module, plan: initlab.Plan) -> None:
    initlab.init_(model, make(model, policy="gpt2"), seed=0)


def by_torch(model: nn.Module, plan: initlab.Plan) -> None:
    """The loop that a PyTorch user writes, with the plan's own numbers."""
    parameters = dict(model.named_parameters())
    for entry in plan.entries:
        if isinstance(entry.law, laws.Normal):
            nn.init.normal_(parameters[entry.name], entry.law.mean, entry.law.std)
        elif isinstance(entry.law, laws.Constant):
            nn.init.constant_(parameters[entry.name], entry.law.value)
        else:
            raise NotImplementedError(f"{entry.name}: {entry.law!r}")


def timed(fill: Callable[[nn.Module, initlab.Plan], None], layers: int, plan: initlab.Plan) -> tuple[float, float, int]:
    """(seconds from meta to filled, processor seconds of all threads, rise of the peak resident set in bytes)."""
    gc.collect()
    meta = build(layers)
    before = _resident(reset=True)
    start, worked = time.perf_counter(), time.process_time()
    model = meta.to_empty(device="cpu")
    model.tie_weights()  # type: ignore[operator]  # a method of transformers' models
    fill(model, plan)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    rise = _resident(peak=True) - before
    del model, meta
    return seconds, worked, rise


def _resident(*, peak: bool = False, reset: bool = False) -> int:
    """The process's resident set, or its peak since the last reset, in bytes (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    field = "VmHWM" if peak else "VmRSS"
    line = next(li for li in Path("/proc/self/status").read_text().splitlines() if li.startswith(field))
    return int(line.split()[1]) * 1024


def alone(side: str, layers: int) -> tuple[float, float, int]:
    """`timed` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gpt2_xl", "--side", side, "--layers", str(layers)]
    seconds, worked, rise = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds, worked, rise


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--layers", type=int, default=48)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--side", choices=["initlab", "torch"], help="time this one alone and print it as JSON")
    chosen, _ = options.parse_known_args()
    plan = initlab.plan(build(chosen.layers), policy="gpt2")
    size = sum(entry.numel for entry in plan.entries) * 2
    if chosen.side:
        initlab.init_(nn.Linear(512, 512, dtype=torch.bfloat16), "gpt2")  # loads the kernels, or compiles them once
        torch.ones(size // 4)  # a virtual machine pays once for memory that it has never touched: neither side should
        print(json.dumps(timed(by_initlab if chosen.side == "initlab" else by_torch, chosen.layers, plan)))
        return
    ours, theirs = [], []
    for _ in range(chosen.rounds):
        ours.append(alone("initlab", chosen.layers))
        theirs.append(alone("torch", chosen.layers))
    wall, wall_torch = (median(row[0] for row in rows) for rows in (ours, theirs))
    work, work_torch = (median(row[1] for row in rows) for rows in (ours, theirs))
    print(f"{size / 2e9:.2f} B parameters in bfloat16, {torch.get_num_threads()} threads, medians of {chosen.rounds}")
    print(f"time: initlab {wall:.2f} s, torch.nn.init {wall_torch:.2f} s: {wall_torch / wall:.1f} times")
    print(f"processor time: initlab {work:.2f} s, torch.nn.init {work_torch:.2f} s: {work_torch / work:.1f} times")
    peak = max(row[2] for row in ours)
    print(f"peak memory while initlab plans and writes: {peak / size:.3f} of the parameters' {size / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
