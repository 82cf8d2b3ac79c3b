"""`mup`: maximal update parametrization, whose best rate does not move with width."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import ByFeed, Narrow
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="mup",
    about="hidden weights gain/√fan_in, read-outs and routers s/fan_in (0 by default), tables N(0, 1)",
    source="Yang et al., Tensor programs V: tuning large neural networks by zero-shot hyperparameter transfer, table 3",
    year=2022,
    laws=(
        RoleLaw("head", Narrow("head"), "N(0, (head/fan_in)²); 0: zeros, as appendix D.2 advises"),
        RoleLaw("router", get_scheme("spectral"), "N(0, (√fan_out/fan_in)²)"),
        RoleLaw("weight", ByFeed(), "Var(W) = gain² / fan_in, the gain being that of what feeds the layer"),
    ),
    numbers={"head": 0.0},
    needs=(has("head", "tied_head", words="a read-out (a weight whose output is the model's)"),),
    training=Training("adam", more="rates by layer: param_groups(model, optimizer, lr, base)"),
    aliases=("mu-p",),
    right="Models that are tuned small and trained wide, with the groups of `param_groups`.",
    wrong="With one rate for all layers: the start alone transfers nothing.",
    leaves=(
        "The rate by layer (`param_groups`). Attention scores need 1/head size where the head size grows, and logits "
        "of tied heads a factor base/width: both are the model's own code."
    ),
)
