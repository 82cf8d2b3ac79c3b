"""What the recipes of state-space models share."""

from __future__ import annotations

from initlab.planning import residual
from initlab.planning.choice import Options
from initlab.planning.given import as_scheme
from initlab.planning.scene import Subject
from initlab.sampling.reference import log
from initlab.sampling.whole_laws import Curved
from initlab.schemes import Scheme, get_scheme


def branch_end(subject: Subject, options: Options) -> Scheme:
    """torch's kaiming_uniform_(a=√5), of std 1/√(3 fan_in), over √layers; a layer is one branch."""
    count = residual.projections(subject.scene).count
    return get_scheme("variance_scaling", scale=1 / (3 * count), distribution="uniform")


def step_bias(subject: Subject, options: Options) -> Scheme:
    """The bias with which softplus gives steps that are log-uniform between two numbers of the recipe."""
    low, high = (float(log([options[name]])[0]) for name in ("slow", "fast"))
    law = Curved("softplus_inverse_of_exp", low, high)
    return as_scheme("log_uniform_steps", law, "softplus⁻¹(exp U(log slow, log fast))")
