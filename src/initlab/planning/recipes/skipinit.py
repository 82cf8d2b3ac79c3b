"""`skipinit`: residual branches multiplied by a parameter that begins at zero, He elsewhere."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="skipinit",
    about="the factor of every residual branch zero, weights He's",
    source="De & Smith, Batch normalization biases residual blocks towards the identity (2020), section 4",
    code=(
        "google-deepmind/deepmind-research nfnets/nf_resnet.py, NFResBlock (abc9ba0), the authors' later "
        "networks: skip_gain 0"
    ),
    year=2020,
    laws=(
        RoleLaw("branch_scale", get_scheme("zeros"), "0: every branch starts as the identity"),
        RoleLaw("weight", get_scheme("he_normal")),
    ),
    needs=(has("branch_scale", words="a factor on every residual branch"),),
    training=Training("sgd", 0.1, (0.9,), None, 5e-4, more="as for batch norm at small batches"),
    right="Residual networks of ReLU without norms.",
    wrong="Models whose branches have no factor of their own.",
    leaves="Biases (zero).",
)
