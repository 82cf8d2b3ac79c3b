"""`ppo`: orthogonal weights, a policy that begins nearly uniform."""

from __future__ import annotations

import math

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has_head
from initlab.schemes import Scheme, get_scheme


def _head(subject: Subject, options: Options) -> Scheme:
    """The value is the read-out of one number; any other is the policy."""
    one = subject.geometry is not None and subject.shape[subject.geometry.out_axis] == 1
    return get_scheme("orthogonal", gain=options["value" if one else "policy"])


RECIPE = Policy(
    name="ppo",
    about="orthogonal of gain √2; read-outs 0.01 for the policy, 1 for the value; biases zero",
    source="Huang et al., The 37 implementation details of proximal policy optimization (2022), detail 2",
    code="vwxyzjn/cleanrl cleanrl/ppo.py (fe8d8a0)",
    year=2022,
    laws=(
        RoleLaw("head", _head, "orthogonal · policy, or · value where it has one output"),
        RoleLaw("weight", get_scheme("orthogonal", gain=math.sqrt(2)), "orthogonal · √2"),
    ),
    numbers={"policy": 0.01, "value": 1.0},
    needs=(has_head(),),
    training=Training("adam", 2.5e-4, (0.9, 0.999), 1e-5, 0.0, "linear to 0"),
    right="Actors and critics of a few layers of tanh or ReLU.",
    wrong="A policy of one output, which is taken for the value: name it by a selector.",
    leaves="The log std of continuous actions, which is kept.",
)
