"""What the recipes of state-space models share: all but the decay of the states, which tells them apart."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.parameters import residual
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import RoleLaw, has
from initlab.planning.recipes.common.given import Normal, as_scheme
from initlab.sampling.reference import log
from initlab.sampling.whole_laws import Curved
from initlab.schemes import Scheme, get_scheme

NUMBERS = {"std": 0.02, "slow": 0.001, "fast": 0.1}
NEEDS = (
    has("log_decay", words="the logarithm of a state's decay"),
    has("step_bias", words="a bias of the state's step"),
    has("branch_end", words="residual branches that end in a weight"),
)


def _branch_end(subject: Subject, options: Options) -> Scheme:
    """torch's kaiming_uniform_(a=√5), of std 1/√(3 fan_in), over √layers; a layer is one branch."""
    count = residual.projections(subject.scene).count
    return get_scheme("variance_scaling", scale=1 / (3 * count), distribution="uniform")


def _step_bias(subject: Subject, options: Options) -> Scheme:
    """The bias with which softplus gives steps that are log-uniform between two numbers of the recipe."""
    low, high = (float(log([options[name]])[0]) for name in ("slow", "fast"))
    law = Curved("softplus_inverse_of_exp", low, high)
    return as_scheme("log_uniform_steps", law, "softplus⁻¹(exp U(log slow, log fast))")


LAWS = (
    RoleLaw("step_bias", _step_bias, "softplus⁻¹(exp U(log slow, log fast))"),
    RoleLaw("skip_factor", get_scheme("ones"), "1: D"),
    RoleLaw("branch_end", _branch_end, "U(±1/√(fan_in · layers))"),
    RoleLaw("conv_bias", get_scheme("torch_default"), "U(±1/√kernel)"),
    RoleLaw("weight", get_scheme("torch_default"), "U(±1/√fan_in); the step's projection has the same law there"),
    RoleLaw("embedding", Normal("std"), "N(0, std²)"),
)
