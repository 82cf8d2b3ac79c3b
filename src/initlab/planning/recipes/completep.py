"""`completep`: mup with branches that count as one over depth, whose best rate does not move with width or depth."""

from __future__ import annotations

from initlab.planning.choice import Choice, Options
from initlab.planning.parameters import residual
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.reason import Reason
from initlab.planning.recipes.common.given import ByFeed, Narrow
from initlab.schemes import get_scheme


def _end(subject: Subject, options: Options) -> Choice:
    fed, count = subject.fed(), residual.projections(subject.scene).count
    share = options["base_branches"] / count
    words = f"completep: the last weight of one of {count} branches, of {options['base_branches']:g} in the base: "
    return Choice(get_scheme("lecun_normal"), Reason("branch_end", words + fed.reason), gain=fed.gain * share)


RECIPE = Policy(
    name="completep",
    about="mup, and the last weight of each residual branch times base_branches / branches",
    source="Dey et al., Don't be lazy: CompleteP enables compute-efficient deep transformers (2025), table 1, α = 1",
    code=(
        "EleutherAI/nanoGPT-mup model.py, Block and configure_optimizers (3904404): branches times "
        "(depth/base)^−1, hidden rates 1/width, their decay times width, eps 1/(width · depth) in blocks and "
        "1/width beside them"
    ),
    year=2025,
    laws=(
        RoleLaw("head", Narrow("head"), "N(0, (head/fan_in)²); 0: zeros"),
        RoleLaw("branch_end", _end, "std = gain/√fan_in · base_branches / branches"),
        RoleLaw("router", get_scheme("spectral"), "N(0, (√fan_out/fan_in)²)"),
        RoleLaw("weight", ByFeed(), "Var(W) = gain² / fan_in, the gain being that of what feeds the layer"),
    ),
    numbers={"head": 0.0, "base_branches": 4.0},
    needs=(
        has("head", "tied_head", words="a read-out (a weight whose output is the model's)"),
        has("branch_end", words="residual branches that end in a weight"),
    ),
    training=Training("adamw", more="param_groups(rule='completep'): rates, decay and eps by width and depth"),
    right="Deep residual networks with norms before the branches, tuned on a base of `base_branches` branches.",
    wrong="Without the groups of `param_groups`, and where branches end in a norm, which undoes the factor.",
    leaves=(
        "The factor 1/depth, which the paper puts on the branch, is folded into the branch's last weight (the same "
        "network; `param_groups` folds the rate likewise)."
    ),
)
