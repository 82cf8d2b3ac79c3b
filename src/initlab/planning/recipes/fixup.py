"""`fixup`: residual networks without norms."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training, has, has_head
from initlab.planning.recipes.common.given import branches_of, no_norms
from initlab.schemes import Scheme, get_scheme


def _inner(subject: Subject, options: Options) -> Scheme:
    """He's std times L^(−1/(2m − 2)), m being the number of weights in the branch."""
    branches = branches_of(subject.scene)
    within = next(branch for branch in branches if subject.name in branch)
    power = -1 / (2 * len(within) - 2) if len(within) > 1 else 0.0
    return get_scheme("variance_scaling", scale=2 * len(branches) ** (2 * power), distribution="normal")


RECIPE = Policy(
    name="fixup",
    about="He's, in branches times L^(−1/(2m − 2)); the last weight of each branch and the read-out zero",
    source="Zhang, Dauphin & Ma, Fixup initialization (2019), section 3",
    code="hongyi-zhang/Fixup cifar/models/fixup_resnet_cifar.py (f3fa449)",
    year=2019,
    laws=(
        RoleLaw("head", get_scheme("zeros")),
        RoleLaw("branch_end", get_scheme("zeros"), "0: every branch starts as the identity"),
        RoleLaw("in_branch", _inner, "He's std · L^(−1/(2m − 2)), L branches of m weights"),
        RoleLaw("weight", get_scheme("he_normal")),
        RoleLaw("branch_scale", get_scheme("ones")),
        RoleLaw("scalar_factor", get_scheme("ones")),
        RoleLaw("scalar_shift", get_scheme("zeros")),
    ),
    needs=(
        Need("a model without norms", no_norms, recorded=False),
        has_head(),
        has("branch_end", words="residual branches that end in a weight"),
    ),
    training=Training("sgd", 0.1, (0.9,), None, 1e-4, more="scalars at a tenth of the rate"),
    right="Deep residual networks without norms; strong regularisation takes their place.",
    wrong="With norms, which undo the factor.",
    leaves=(
        "Whether there are scalar biases and a factor in every branch: the model must have them. The authors' code "
        "takes out · kernel for the fan (hongyi-zhang/Fixup, f3fa449), which differs where a layer widens."
    ),
)
