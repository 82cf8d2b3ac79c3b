"""`adapter`: bottlenecks between the layers of a loaded model."""

from __future__ import annotations

from initlab.planning.defaults.by_role import DEFAULTS
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Cut, Kept
from initlab.schemes import get_scheme

_REST = Kept("no part of an adapter")
_SMALL = Cut("std", 2.0)

RECIPE = Policy(
    name="adapter",
    about="both weights of every bottleneck N(0, 0.01²) cut at 2 std, their biases zero; all else kept",
    source=(
        "Houlsby et al., Parameter-efficient transfer learning for NLP (2019), section 3.6; adapter-hub/adapters "
        "src/adapters/methods/modeling.py, init_weights houlsby (88f18eb)"
    ),
    year=2019,
    laws=(
        RoleLaw("narrowing", _SMALL, "N(0, std²) cut at ±2 std"),
        RoleLaw("widening", _SMALL, "N(0, std²) cut at ±2 std"),
        RoleLaw("bottleneck_bias", get_scheme("zeros")),
        *(RoleLaw(role, _REST, "kept") for role in ("weight", *DEFAULTS)),
    ),
    numbers={"std": 0.01},
    needs=(has("narrowing", words="bottlenecks: branches of two weights, the first to fewer units"),),
    training=Training("adam", 3e-4, schedule="a tenth of warm-up, linear to 0", more="rates tried: 3e-5 to 3e-3"),
    aliases=("houlsby",),
    right="Adapters in a loaded model, whose output then begins almost as it was.",
    wrong="Training from scratch: everything else is kept as it is.",
    leaves="The norms beside the adapters, which train there and are kept as loaded here.",
)
