"""`lora`: low-rank adapters beside loaded weights."""

from __future__ import annotations

from initlab.planning.defaults.by_role import DEFAULTS
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Kept
from initlab.schemes import get_scheme

_REST = Kept("no part of an adapter")

RECIPE = Policy(
    name="lora",
    about="A as torch draws a linear layer, B zero, so that the adapter adds nothing at first; all else kept",
    source="Hu et al., LoRA (2021), section 4.1; microsoft/LoRA loralib/layers.py (kaiming_uniform_ with a = √5)",
    code="huggingface/peft src/peft/tuners/lora/layer.py, reset_lora_parameters (5d602fd)",
    year=2021,
    laws=(
        RoleLaw("adapter_up", get_scheme("zeros"), "0"),
        RoleLaw("adapter_down", get_scheme("torch_default"), "U(±1/√fan_in)"),
        *(RoleLaw(role, _REST, "kept") for role in ("weight", *DEFAULTS)),
    ),
    needs=(has("adapter_up", words="adapters (parameters called lora_A and lora_B, as LoRA, PEFT and torchtune do)"),),
    training=Training("adamw", 2e-4, more="GPT-2 M: linear, 500 steps of warm-up"),
    right="Adapters beside weights that are loaded.",
    wrong="Training from scratch: everything else is kept as it is.",
    leaves="Rank and α. Adapters that begin as a part of the loaded weight: pissa, olora.",
)
