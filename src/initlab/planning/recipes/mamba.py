"""`mamba`: state-space blocks."""

from __future__ import annotations

from initlab.planning import residual
from initlab.planning.choice import Options
from initlab.planning.given import Normal
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.scene import Subject
from initlab.schemes import Scheme, get_scheme


def _end(subject: Subject, options: Options) -> Scheme:
    """torch's kaiming_uniform_(a=√5), of std 1/√(3 fan_in), over √layers; a layer is one branch."""
    count = residual.projections(subject.scene).count
    return get_scheme("variance_scaling", scale=1 / (3 * count), distribution="uniform")


RECIPE = Policy(
    name="mamba",
    about="tables N(0, 0.02²), weights as torch draws them, ends of branches over √layers; A, D, step bias as made",
    source="Gu & Dao, Mamba (2023); state-spaces/mamba mixer_seq_simple.py, _init_weights",
    year=2023,
    laws=(
        RoleLaw("branch_end", _end, "U(±1/√(fan_in · layers))"),
        RoleLaw("weight", get_scheme("torch_default"), "U(±1/√fan_in); the step's projection has the same law there"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.02},
    needs=(has("branch_end", words="residual branches that end in a weight"),),
    training=Training(
        "adamw", 6e-4, (0.9, 0.95), 1e-8, 0.1, "linear warm-up, cosine to 1e-5", "clip 1.0; no decay of A and D"
    ),
    right="Selective state-space models.",
    wrong="Models whose step bias their own code did not draw: it is kept, and must hold softplus⁻¹ of 0.001 to 0.1.",
    leaves="A, D and the step's bias, kept as the model made them; other biases are zero, the convolution's too.",
)
