"""`initialization-and-dropout`: does dropout change which start is right?"""

from __future__ import annotations

from initlab.experiments.claims import Claim, every, greater, mean_below
from initlab.experiments.grid import Setting, accuracy, grid, loss, spread
from initlab.experiments.networks import mlp

SOURCE = "Srivastava et al. 2014; Hendrycks & Gimpel 2016 (dropout and the variance of a start)"
SIZES = (100, 100, 100, 10)

EXPERIMENT = grid(
    name="initialization-and-dropout",
    title="The start and dropout",
    source=SOURCE,
    asks="Does dropout make the choice of start matter less, and does it change which one is right?",
    settings=(
        Setting("no dropout", lambda n: mlp((n, *SIZES))),
        Setting("dropout 0.2", lambda n: mlp((n, *SIZES), dropout=0.2)),
        Setting("dropout 0.5", lambda n: mlp((n, *SIZES), dropout=0.5)),
    ),
    claims=(
        Claim(
            "Dropout does not rescue a start that is too small: std 0.01 stays under 50% accuracy.",
            SOURCE,
            lambda r: every(
                [mean_below(accuracy(r, d, "std 0.01"), 0.5, f"accuracy, {d}") for d in ("dropout 0.2", "dropout 0.5")]
            ),
        ),
        Claim(
            "Dropout slows training from every working start (He).",
            SOURCE,
            lambda r: greater(loss(r, "dropout 0.5", "He"), loss(r, "no dropout", "He"), "final training loss, He"),
        ),
        Claim(
            "He still beats Xavier in training loss with dropout 0.5.",
            "He et al. 2015, under dropout",
            lambda r: greater(
                loss(r, "dropout 0.5", "Xavier"), loss(r, "dropout 0.5", "He"), "final training loss, Xavier − He"
            ),
        ),
        Claim(
            "Dropout makes the start matter less.",
            "often said of regularisers",
            lambda r: greater(
                spread(r, "no dropout"), spread(r, "dropout 0.5"), "best − worst accuracy, without − with"
            ),
        ),
    ),
    minutes=(0.14, 5),
)
