"""Twelve MLP runs (784-100-100-100-100-10, batch 128) through compare: the loop and the matrix-product limit beside."""

from __future__ import annotations

import torch

import initlab
from benchmarks._engines import compare_seconds, loop_seconds, mlp, paired, product_seconds, say

WIDTHS = [784, 100, 100, 100, 100, 10]
SEEDS, STEPS, ROUNDS = 4, 1000, 3


def main() -> None:
    """Print the shares of the goal: at least 80% of the limit, never slower than the loop."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(20000, 784, generator=generator), torch.randint(0, 10, (20000,), generator=generator)
    build, schemes = mlp(WIDTHS), [initlab.get_scheme("normal", std=0.01), "xavier_normal", "he_normal"]
    chosen: list[str] = []

    def call(steps: int) -> None:
        result = initlab.compare(
            build, (x, y), (x[:1000], y[:1000]), schemes, seeds=SEEDS, optimizer="sgd", lr=0.01, steps=steps
        )
        chosen.append(result.engine)

    def measure() -> dict[str, float]:
        runs = len(schemes) * SEEDS
        return {
            "loop": loop_seconds(build, (x, y), 128, STEPS),
            "products": product_seconds(WIDTHS, 128, runs),
            "compare": compare_seconds(call, runs, STEPS),
        }

    call(20)
    say(paired(measure, ROUNDS))
    print(f"   {chosen[-1]}")


if __name__ == "__main__":
    main()
