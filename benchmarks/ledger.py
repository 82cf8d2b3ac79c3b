"""What the ledger costs: the equal-bytes scan and the checks, beside the fill that they guard.

Run as `python -m benchmarks.ledger`.
"""

from __future__ import annotations

import time
from statistics import median

import torch
from torch import nn

import initlab
from initlab.planning import writer
from initlab.planning.parameters.walk import walk
from initlab.planning.writing.ledger import equal_warnings


def model_of(blocks: int, width: int) -> nn.Module:
    layer = nn.TransformerEncoderLayer(width, 12, 4 * width, batch_first=True)
    return nn.TransformerEncoder(layer, blocks)


def main() -> None:
    model = model_of(12, 768)
    plan = initlab.plan(model)
    found = walk(model)
    initlab.init_(model, plan)
    checks, fills, scans = [], [], []
    for _ in range(5):
        start = time.perf_counter()
        jobs = writer.prepare(plan, found)
        checked = time.perf_counter()
        writer.write(jobs, 0)
        filled = time.perf_counter()
        warnings = equal_warnings(writer._held(found, {job.name: job.law for job in jobs}))
        scans.append(time.perf_counter() - filled)
        fills.append(filled - checked)
        checks.append(checked - start)
        assert not warnings
    size = sum(entry.numel for entry in plan.entries)
    print(f"{size / 1e6:.0f} M parameters in {len(plan)} tensors, {torch.get_num_threads()} threads, medians of 5")
    print(f"fill {median(fills) * 1e3:.1f} ms")
    print(f"equal-bytes scan {median(scans) * 1e3:.2f} ms: {median(scans) / median(fills):.2%} of the fill")
    print(
        f"checks before the first write {median(checks) * 1e3:.2f} ms: {median(checks) / median(fills):.2%} of the fill"
    )


if __name__ == "__main__":
    main()
