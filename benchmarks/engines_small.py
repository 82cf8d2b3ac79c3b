"""200 small runs (64-100x5-10, digits, batch 32) through compare: the loop and the matrix-product limit beside."""

from __future__ import annotations

import initlab
from benchmarks._engines import compare_seconds, loop_seconds, mlp, paired, product_seconds, say

WIDTHS = [64, 100, 100, 100, 100, 100, 10]
SCHEMES = ["lecun_normal", "xavier_normal", "xavier_uniform", "he_normal", "he_uniform"]
SEEDS, STEPS, ROUNDS = 40, 300, 3


def main() -> None:
    """Print the shares of the goal: at least 2.5 times the loop, at least 45% of the limit."""
    split = initlab.data.digits()
    build = mlp(WIDTHS)
    chosen: list[str] = []

    def call(steps: int) -> None:
        result = initlab.compare(
            build, split.train, split.test, SCHEMES, seeds=SEEDS, optimizer="sgd", lr=0.01, batch_size=32, steps=steps
        )
        chosen.append(result.engine)

    def measure() -> dict[str, float]:
        runs = len(SCHEMES) * SEEDS
        return {
            "loop": loop_seconds(build, split.train, 32, 1000),
            "products": product_seconds(WIDTHS, 32, runs),
            "compare": compare_seconds(call, runs, STEPS),
        }

    call(2)
    say(paired(measure, ROUNDS))
    print(f"   {chosen[-1]}")


if __name__ == "__main__":
    main()
