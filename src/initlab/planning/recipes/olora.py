"""`olora`: adapters that begin as the orthonormal basis of the loaded weight's first columns."""

from __future__ import annotations

import numpy as np

from initlab.planning.parameters.low_rank import LowRank
from initlab.planning.policy import Policy, Training, has
from initlab.planning.recipes.common.loaded_parts import of_loaded, split_loaded
from initlab.sampling.request import Array


def _orthonormal(weight: Array, rank: int, adapter: LowRank) -> tuple[Array, Array]:
    """A the first rows of R and B the first columns of Q, where W = Q R."""
    basis, triangle = np.linalg.qr(weight)
    return triangle[:rank], basis[:, :rank]


RECIPE = Policy(
    name="olora",
    about="B the first columns of Q and A the first rows of R of the loaded W = Q R, W less s · B A; all else kept",
    source=(
        "Büyükakyüz, OLoRA (2024), algorithm 1; huggingface/peft src/peft/tuners/lora/layer.py, olora_init (5d602fd)"
    ),
    year=2024,
    laws=split_loaded(_orthonormal, "the first rows of R", "the first columns of Q", "the olora part"),
    needs=(has("low_rank_up", words="adapters beside loaded weights, W x + s · B A x"), of_loaded()),
    training=Training("adamw", 3e-4, more="rank 32 or 64, α 16; 1 epoch"),
    right="Adapters of a loaded model, whose factor B then begins orthonormal.",
    wrong="Weights that were drawn and not loaded.",
    leaves="Rank and α.",
)
