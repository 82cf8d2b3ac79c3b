"""Every pattern of names that planning reads, where a name says what no recording and no layer type can."""

from __future__ import annotations

import re

# The last matrix of a block's branches, as the models of the literature call it, within a numbered block.
BRANCH_END = re.compile(
    r"(^|\.)\d+\.(.*\.)?(c_proj|out_proj|o_proj|wo|down_proj|linear2|fc2|w2|proj_out|dense_4h_to_h"
    r"|attn\.proj|attention\.output\.dense|output\.dense|mlp\.2|ff\.2)\.weight$"
)

# A block's number within a name.
BLOCK_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)|^\d+(?=\.)")

# The two factors of a low-rank adapter, as LoRA, PEFT and torchtune call them.
ADAPTER_UP = re.compile(r"(^|\.)lora_(B|up|b)(\.|$)")
ADAPTER_DOWN = re.compile(r"(^|\.)lora_(A|down|a)(\.|$)")

_UPS = {"A": "B", "down": "up", "a": "b"}


def beside_up(down: str) -> tuple[str, ...]:
    """What the second factor of an adapter is called whose first has this name.

    >>> beside_up("0.lora_A.default.weight")
    ('0.lora_B.default.weight',)
    """
    return tuple(
        f"{down[: found.start(2)]}{_UPS[found.group(2)]}{down[found.end(2) :]}" for found in ADAPTER_DOWN.finditer(down)
    )


# A parameter, by its own last name, that is added to the signal: positions, class tokens, queries.
ADDED = re.compile(r"pos|token|tok_emb|query_emb|latent|prompt|time_emb", re.IGNORECASE)

# Layer types, by a part of their name, that leave the second moment of a signal as it is.
NEUTRAL = ("Dropout", "Identity", "Flatten", "Unflatten", "Pool", "Pad", "Upsample", "PixelShuffle", "PixelUnshuffle")

# How torch's recurrent layers begin the names of their two maps and of the bias that counts first.
HIDDEN_TO_HIDDEN, INPUT_BIAS = "weight_hh", "bias_ih"
