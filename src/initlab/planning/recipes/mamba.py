"""`mamba`: selective state-space blocks."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common import state_spaces
from initlab.planning.recipes.common.given import as_scheme
from initlab.sampling.laws import Constant, Stacked
from initlab.sampling.reference import log
from initlab.schemes import Scheme


def _decay(subject: Subject, options: Options) -> Scheme:
    """log n for the n-th number of every state (S4D-real)."""
    size = subject.shape[-1]
    law = Stacked(-1, (1,) * size, tuple(Constant(float(log([n + 1.0])[0])) for n in range(size)))
    return as_scheme("s4d_real", law, "log n for the n-th number of a state")


RECIPE = Policy(
    name="mamba",
    about="A = −1 … −N, steps 0.001 to 0.1 log-uniform, D one; tables N(0, 0.02²); ends of branches over √layers",
    source=(
        "Gu & Dao, Mamba (2023); state-spaces/mamba modules/mamba_simple.py and models/mixer_seq_simple.py, "
        "_init_weights (e9594ce)"
    ),
    year=2023,
    laws=(RoleLaw("log_decay", _decay, "log n for the n-th number of a state"), *state_spaces.LAWS),
    numbers=state_spaces.NUMBERS,
    needs=state_spaces.NEEDS,
    training=Training(
        "adamw", 6e-4, (0.9, 0.95), 1e-8, 0.1, "linear warm-up, cosine to 1e-5", "clip 1.0; no decay of A and D"
    ),
    right="Selective state-space models.",
    wrong="States with one decay a head (mamba2).",
    leaves="The floor of 1e-4 under the steps, which 0.001 never meets; norms (one).",
)
