"""`initialization-and-weight-decay`: does weight decay undo a start that is too large?"""

from __future__ import annotations

from initlab.experiments.claims import Claim, greater, mean_below
from initlab.experiments.grid import Setting, accuracy, grid, spread
from initlab.experiments.networks import mlp

SOURCE = "Saito 2016, §6.4; Krogh & Hertz 1991"
SIZES = (100, 100, 100, 10)

EXPERIMENT = grid(
    name="initialization-and-weight-decay",
    title="The start and weight decay",
    source=SOURCE,
    asks="Does weight decay mend a start that is too large, or hurt one that is too small?",
    settings=(
        Setting("decay 0", lambda n: mlp((n, *SIZES)), lr=0.02),
        Setting("decay 1e-3", lambda n: mlp((n, *SIZES)), lr=0.02, weight_decay=1e-3),
        Setting("decay 1e-2", lambda n: mlp((n, *SIZES)), lr=0.02, weight_decay=1e-2),
    ),
    claims=(
        Claim(
            "Weight decay mends a start that is too large: std 0.5 ends more accurate with decay 1e-2 than without.",
            SOURCE,
            lambda r: greater(
                accuracy(r, "decay 1e-2", "std 0.5"), accuracy(r, "decay 0", "std 0.5"), "accuracy from std 0.5"
            ),
        ),
        Claim(
            "Weight decay does not rescue a start that is too small: std 0.01 stays under 50% accuracy.",
            SOURCE,
            lambda r: mean_below(accuracy(r, "decay 1e-2", "std 0.01"), 0.5, "accuracy from std 0.01"),
        ),
        Claim(
            "Weight decay makes the start matter less.",
            "often said of regularisers",
            lambda r: greater(spread(r, "decay 0"), spread(r, "decay 1e-2"), "best − worst accuracy, without − with"),
        ),
    ),
    minutes=(0.06, 2.2),
)
