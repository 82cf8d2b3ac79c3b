"""`initialization-and-depth`: does the start matter more in a deeper network?"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from initlab.experiments.claims import Claim, every, greater, mean_above, within
from initlab.experiments.grid import Setting, accuracy, grid, spread
from initlab.experiments.networks import mlp

SOURCE = "Glorot & Bengio 2010; He et al. 2015, figure 3"
DEPTHS = (2, 5, 10, 20)


def _name(depth: int) -> str:
    return f"{depth} layers"


def _stack(depth: int) -> Callable[[int], nn.Module]:
    return lambda inputs: mlp((inputs, *(100,) * (depth - 1), 10))


EXPERIMENT = grid(
    name="initialization-and-depth",
    title="The start and depth",
    source=SOURCE,
    asks="From which depth on does the start decide?",
    settings=tuple(Setting(_name(d), _stack(d)) for d in DEPTHS),
    claims=(
        Claim(
            "The start matters more with depth: the range of accuracy is larger at 20 layers than at 2.",
            SOURCE,
            lambda r: greater(spread(r, _name(20)), spread(r, _name(2)), "best − worst accuracy, 20 − 2 layers"),
        ),
        Claim(
            "At 20 layers a ReLU network learns from He and not from Xavier.",
            "He et al. 2015, figure 3 (30 layers)",
            lambda r: every(
                [
                    mean_above(accuracy(r, _name(20), "He"), 0.5, "accuracy of He"),
                    greater(accuracy(r, _name(20), "He"), accuracy(r, _name(20), "Xavier"), "He − Xavier", least=0.3),
                ]
            ),
        ),
        Claim(
            "At 2 layers Xavier and He are alike (within 2 points).",
            SOURCE,
            lambda r: within(
                [a - b for a, b in zip(accuracy(r, _name(2), "He"), accuracy(r, _name(2), "Xavier"), strict=True)],
                0.0,
                0.02,
                "accuracy, He − Xavier",
            ),
        ),
        Claim(
            "Std 0.01 still learns at 2 layers and no longer at 5.",
            SOURCE,
            lambda r: greater(
                accuracy(r, _name(2), "std 0.01"), accuracy(r, _name(5), "std 0.01"), "accuracy", least=0.3
            ),
        ),
    ),
    minutes=(0.18, 4),
)
