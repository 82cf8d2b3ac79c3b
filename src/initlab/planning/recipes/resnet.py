"""`resnet`: torchvision's ResNet v1.5, with the last norm of every branch zero."""

from __future__ import annotations

import math

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.schemes import Scheme, get_scheme


def _kernel(subject: Subject, options: Options) -> Scheme:
    """torch's kaiming_normal_(mode="fan_out"): its fan is out · kernel, whatever the stride and the groups."""
    return get_scheme("normal", std=math.sqrt(2 / (subject.shape[0] * math.prod(subject.shape[2:]))))


RECIPE = Policy(
    name="resnet",
    about="kernels N(0, 2/(out · kernel)), the read-out as torch draws it, the last norm of every branch zero",
    source="Goyal et al. (2017), section 5.1; pytorch/vision torchvision/models/resnet.py, zero_init_residual=True",
    code=(
        "pytorch/vision torchvision/models/resnet.py, ResNet.__init__ (054e54c): kernels "
        "kaiming_normal_(mode='fan_out'), norms 1, bn3 or bn2 0 where zero_init_residual, fc as nn.Linear draws "
        "it"
    ),
    year=2017,
    laws=(
        RoleLaw("branch_end_norm", get_scheme("zeros"), "0: the branch starts as the identity"),
        RoleLaw("conv", _kernel, "N(0, 2/(out · kernel))"),
        RoleLaw("weight", get_scheme("torch_default")),
        RoleLaw("bias", get_scheme("torch_default")),
    ),
    needs=(
        has("conv"),
        has("first", words="a weight that reads the image"),
        has("branch_end_norm", words="residual branches that end in a norm"),
    ),
    training=Training(
        "sgd", 0.1, (0.9,), None, 1e-4, "5 epochs of warm-up, ÷10 at 30, 60 and 80", "rate · batch / 256"
    ),
    right="Residual networks with batch norm on images.",
    wrong="Branches that do not end in a norm.",
    leaves="The paper's own read-out is N(0, 0.01²); this one is torchvision's.",
)
