"""`prompt`: learned tokens before the input of a loaded model."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.defaults.by_role import DEFAULTS
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Kept
from initlab.schemes import Scheme, get_scheme

_REST = Kept("no part of the prompt")


def _tokens(subject: Subject, options: Options) -> Scheme:
    return get_scheme("uniform", low=-options["bound"], high=options["bound"])


RECIPE = Policy(
    name="prompt",
    about="tokens before the input U(±0.5); all else kept",
    source="Lester, Al-Rfou & Constant, The power of scale for parameter-efficient prompt tuning (2021), section 3.2",
    code=(
        "google-research/prompt-tuning prompt_tuning/configs/models/t5_1_1_base_prompt.gin (3a4df11): uniform "
        "with scale 0.5; Adafactor, decay 1e-5; configs/runs/prompt_finetune.gin (279bca8): a constant rate of "
        "0.3"
    ),
    year=2021,
    laws=(
        RoleLaw("prefix", _tokens, "U(±bound)"),
        *(RoleLaw(role, _REST, "kept") for role in ("weight", *DEFAULTS)),
    ),
    numbers={"bound": 0.5},
    needs=(has("prefix", words="tokens of their own that stand before the data's"),),
    training=Training("adafactor", 0.3, weight_decay=1e-5, schedule="constant", more="batch 32; 30,000 steps"),
    aliases=("prompt_tuning", "soft_prompt"),
    right="Prompts of a frozen language model whose tables have a std near a half.",
    wrong="Tables of std 0.02, beside which such tokens are large: draw them from the vocabulary (fit.new_rows_).",
    leaves=(
        "The paper's better starts, which copy rows of the vocabulary or of the classes' names. The authors' released "
        "configuration draws U(0, 0.5) (jax's uniform begins at 0), against the paper's words."
    ),
)
