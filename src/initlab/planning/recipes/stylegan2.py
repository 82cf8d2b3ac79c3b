"""`stylegan2`: weights N(0, 1) that are scaled when they are used (equalised rates)."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="stylegan2",
    about="every weight N(0, 1), scaled by 1/√fan_in when it is used, biases zero",
    source="Karras et al., StyleGAN2 (2020); Progressive growing of GANs (2018), section 4.1",
    code="NVlabs/stylegan2-ada-pytorch training/networks.py (d72cc7d)",
    year=2020,
    laws=(
        RoleLaw("equalised", get_scheme("normal", std=1.0), "N(0, 1)"),
        RoleLaw("weight", get_scheme("lecun_normal"), "N(0, 1/fan_in): the same start without the scale"),
    ),
    needs=(has("equalised", words="weights that are scaled when they are used"),),
    training=Training(
        "adam", 2e-3, (0.0, 0.99), 1e-8, 0.0, "constant", "EMA; the mapping network at a hundredth of the rate"
    ),
    right="Generators and discriminators with equalised rates.",
    wrong="Weights that are used as they are: N(0, 1) there multiplies the signal by √fan_in.",
    leaves="Biases of style layers (one there), the learned first input (N(0, 1)), the divisor of the mapping network.",
)
