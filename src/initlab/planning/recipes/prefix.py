"""`prefix`: learned keys and values before those of every attention of a loaded model."""

from __future__ import annotations

from initlab.planning.defaults.by_role import DEFAULTS
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Kept
from initlab.schemes import get_scheme

_REST = Kept("no part of the prefix")

RECIPE = Policy(
    name="prefix",
    about="tables of the prefix N(0, 1), the maps that make keys and values of them as torch draws; all else kept",
    source=(
        "Li & Liang, Prefix-tuning (2021), section 4.3; huggingface/peft src/peft/tuners/prefix_tuning/model.py "
        "(5d602fd)"
    ),
    year=2021,
    laws=(
        RoleLaw("prefix", get_scheme("normal", std=1.0), "N(0, 1)"),
        RoleLaw("prefix_map", get_scheme("torch_default"), "U(±1/√fan_in), weights and biases"),
        *(RoleLaw(role, _REST, "kept") for role in ("weight", *DEFAULTS)),
    ),
    needs=(has("prefix", words="keys and values of their own that stand before the data's"),),
    training=Training("adamw", 5e-5, schedule="linear to 0", more="batch 5; 10 epochs; prefixes of 10 tokens"),
    aliases=("prefix_tuning",),
    right="Prefixes of a frozen language model, with the MLP that makes them stable.",
    wrong="Few examples: the paper then begins with the activations of real words.",
    leaves="Starts from real words, which are activations of the loaded model.",
)
