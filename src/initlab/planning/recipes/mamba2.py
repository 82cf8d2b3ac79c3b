"""`mamba2`: state-space duality blocks."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common import state_spaces
from initlab.planning.recipes.common.given import as_scheme
from initlab.sampling.whole_laws import Curved
from initlab.schemes import Scheme


def _decay(subject: Subject, options: Options) -> Scheme:
    return as_scheme("log_uniform", Curved("log", 1.0, options["fastest"]), "log U(1, fastest)")


RECIPE = Policy(
    name="mamba2",
    about="A = −U(1, 16), steps 0.001 to 0.1 log-uniform, D one; tables N(0, 0.02²); ends of branches over √layers",
    source=(
        "Dao & Gu, Transformers are SSMs (2024); state-spaces/mamba modules/mamba2.py and models/mixer_seq_simple.py, "
        "_init_weights (e9594ce)"
    ),
    year=2024,
    laws=(RoleLaw("log_decay", _decay, "log U(1, fastest)"), *state_spaces.LAWS),
    numbers={**state_spaces.NUMBERS, "fastest": 16.0},
    needs=state_spaces.NEEDS,
    training=Training(
        "adamw", 6e-4, (0.9, 0.95), 1e-8, 0.1, "linear warm-up, cosine to 1e-5", "clip 1.0; no decay of A, D, step"
    ),
    right="State-space models with one decay a head.",
    wrong="States with a decay of their own for each number (mamba).",
    leaves="The norm before the last projection (one). Hugging Face's copy has A = −1, −2, … by head instead.",
)
