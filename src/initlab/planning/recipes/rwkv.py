"""`rwkv`: recurrent language models whose gates and branches begin closed."""

from __future__ import annotations

import math

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has, has_head
from initlab.schemes import Scheme, get_scheme


def _orthogonal(subject: Subject, options: Options, share: float = 1.0) -> Scheme:
    """Orthogonal of gain √(out/in) where the layer widens, else 1."""
    rows, columns = subject.shape
    return get_scheme("orthogonal", gain=share * math.sqrt(max(1.0, rows / columns)))


def _head(subject: Subject, options: Options) -> Scheme:
    return _orthogonal(subject, options, options["head"])


def _table(subject: Subject, options: Options) -> Scheme:
    return get_scheme("orthogonal", gain=options["table"] * math.sqrt(max(subject.shape)))


RECIPE = Policy(
    name="rwkv",
    about="keys of the memory, gates and ends of branches zero; the others orthogonal √(out/in); tables 1e-4",
    source="Peng et al., RWKV (2023), section 3.4; BlinkDL/RWKV-LM RWKV-v4/src/model.py, RWKV_Init (524481d)",
    year=2023,
    laws=(
        RoleLaw("head", _head, "orthogonal · head · √(out/in)"),
        RoleLaw("branch_end", get_scheme("zeros"), "0: every branch starts as the identity"),
        RoleLaw("gate", get_scheme("zeros"), "0: receptances open by half"),
        RoleLaw("exponent", get_scheme("zeros"), "0: the past is weighed by its age alone"),
        RoleLaw("weight", _orthogonal, "orthogonal · max(1, √(out/in))"),
        RoleLaw("embedding", _table, "orthogonal, of std table"),
    ),
    numbers={"head": 0.5, "table": 1e-4},
    needs=(
        has("gate", words="gates by a sigmoid"),
        has("exponent", words="keys that weigh the past by their exponential"),
        has_head(),
    ),
    training=Training("adam", 6e-4, (0.9, 0.99), 1e-8, 0.0, "exponential to 1e-5", "L12-D768 of RWKV-4"),
    right="RWKV-4 with a norm after its table, whose 1e-4 then trains fast.",
    wrong="Models without that norm: their signal is 1e-4 from the start.",
    leaves="Decays, first weights and mixtures of time, set by layer and channel in the model's code and kept.",
)
