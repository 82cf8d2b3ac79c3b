"""`pissa`: adapters that begin as the leading singular part of the loaded weight, which keeps the rest."""

from __future__ import annotations

import numpy as np

from initlab.planning.parameters.low_rank import LowRank
from initlab.planning.policy import Policy, Training, has
from initlab.planning.recipes.common.loaded_parts import of_loaded, split_loaded
from initlab.sampling.request import Array


def _leading(weight: Array, rank: int, adapter: LowRank) -> tuple[Array, Array]:
    """A = √(S/s) Vᵀ and B = U √(S/s) of the `rank` largest singular values."""
    left, sizes, right = np.linalg.svd(weight, full_matrices=False)
    root = np.sqrt(sizes[:rank] / adapter.scaling)
    return root[:, None] * right[:rank], left[:, :rank] * root


RECIPE = Policy(
    name="pissa",
    about="B A the leading singular part of the loaded weight over the scaling, the weight less it; all else kept",
    source=(
        "Meng, Wang & Zhang, PiSSA (2024), section 3, equations 2 to 4; huggingface/peft "
        "src/peft/tuners/lora/layer.py, pissa_init (5d602fd)"
    ),
    year=2024,
    laws=split_loaded(_leading, "√(S/s) Vᵀ", "U √(S/s)", "the pissa part"),
    needs=(has("low_rank_up", words="adapters beside loaded weights, W x + s · B A x"), of_loaded()),
    training=Training("adamw", 2e-5, (0.9, 0.999), 1e-8, 0.0, "cosine, 3% warm-up", "7B models; α = rank"),
    right="Adapters of a loaded model, which then gives what it gave and learns its leading directions first.",
    wrong="Weights that were drawn and not loaded, whose singular values are alike.",
    leaves="Rank and α, and the sign of singular vectors, which is LAPACK's choice and changes no product.",
)
