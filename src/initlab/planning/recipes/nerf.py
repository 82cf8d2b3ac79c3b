"""`nerf`: radiance fields and other stacks of ReLU over encoded coordinates."""

from __future__ import annotations

from initlab.planning.policy import Need, Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import no_norms
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="nerf",
    about="Xavier uniform, biases zero",
    source=(
        "Mildenhall et al., NeRF (2020), section 5.3; bmild/nerf run_nerf_helpers.py, init_nerf_model (14c5556): "
        "Keras' dense layers as they are"
    ),
    year=2020,
    laws=(RoleLaw("weight", get_scheme("xavier_uniform"), "U(±√(6/(fan_in + fan_out)))"),),
    needs=(
        has("first", words="a weight that reads coordinates"),
        Need("a model without norms", no_norms, recorded=False),
    ),
    training=Training(
        "adam", 5e-4, (0.9, 0.999), 1e-7, 0.0, "exponential, a tenth after 250,000 steps", "4,096 rays a batch"
    ),
    right="Fields of eight layers of 256 ReLUs over sines of the coordinates, which join again half-way.",
    wrong="Raw coordinates, whose fine detail such a stack does not learn (take siren, or encode them).",
    leaves="The encoding (10 octaves of place, 4 of direction) and the noise on the density, the model's own code.",
)
