"""`initialization-and-batchnorm`: does batch norm forgive the start?"""

from __future__ import annotations

from initlab.experiments.claims import Claim, every, greater, mean_below
from initlab.experiments.grid import STARTS, Setting, accuracy, grid, loss, spread
from initlab.experiments.networks import mlp

SOURCE = "Ioffe & Szegedy 2015, §3.3; Saito 2016, §6.3"
SIZES = (100, 100, 100, 100, 100, 10)

EXPERIMENT = grid(
    name="initialization-and-batchnorm",
    title="The start and batch norm",
    source=SOURCE,
    asks="Does batch norm make the choice of start matter less?",
    settings=(
        Setting("plain", lambda n: mlp((n, *SIZES))),
        Setting("batch norm", lambda n: mlp((n, *SIZES), norm=True)),
    ),
    claims=(
        Claim(
            "Batch norm forgives: the range of accuracy over the starts is smaller with it.",
            SOURCE,
            lambda r: greater(spread(r, "plain"), spread(r, "batch norm"), "best − worst accuracy, plain − batch norm"),
        ),
        Claim(
            "With batch norm the start does not matter at all (range of accuracy under 1 point).",
            "often said",
            lambda r: mean_below(spread(r, "batch norm"), 0.01, "best − worst accuracy with batch norm"),
        ),
        Claim(
            "With batch norm training is faster whatever the start.",
            SOURCE,
            lambda r: every(
                [
                    greater(loss(r, "plain", s), loss(r, "batch norm", s), f"final loss from {s}, plain − batch norm")
                    for s in STARTS
                ]
            ),
        ),
        Claim(
            "Std 0.01, which does not learn without batch norm, learns with it.",
            SOURCE,
            lambda r: greater(
                accuracy(r, "batch norm", "std 0.01"), accuracy(r, "plain", "std 0.01"), "accuracy", least=0.3
            ),
        ),
    ),
    minutes=(0.12, 2.4),
)
