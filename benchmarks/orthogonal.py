"""Orthogonal factors: one of 2048 × 2048, and 100 of 256 × 256, against torch.nn.init.orthogonal_, interleaved."""

from __future__ import annotations

import os

import torch

from benchmarks.fill import paired
from initlab.sampling import fill, laws


def main() -> None:
    """Print seconds and torch's time over ours."""
    print(f"medians of 3 interleaved rounds; load before: {os.getloadavg()[0]:.1f}")
    large, blocks = torch.empty(2048, 2048), torch.empty(100, 256, 256)
    packed = blocks.view(25600, 256).numpy()
    stack = laws.Stacked(0, (256,) * 100, (laws.Orthogonal(),) * 100)
    pairs = [
        ("2048 × 2048", lambda: fill(large.numpy(), laws.Orthogonal()), lambda: torch.nn.init.orthogonal_(large), 1),
        ("100 × 256 × 256", lambda: fill(packed, stack), lambda: [torch.nn.init.orthogonal_(b) for b in blocks], 2),
    ]
    for name, ours, theirs, goal in pairs:
        mine, other = paired(ours, theirs, rounds=3)
        print(f"{name:16s}{mine:8.3f} s  torch {other:8.3f} s  ratio {other / mine:5.2f} (goal {goal})", flush=True)


if __name__ == "__main__":
    main()
