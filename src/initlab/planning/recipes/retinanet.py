"""`retinanet`: a classifier that begins with rare positives (the prior of the focal loss)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.planning.choice import Options
from initlab.planning.parameters.roles import ROLES
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Normal
from initlab.schemes import Scheme, get_scheme


def _prior(subject: Subject, options: Options) -> Scheme:
    prior = options["prior"]
    return get_scheme("constant", value=-math.log((1 - prior) / prior))


def _one_head(scene: Scene, subjects: Sequence[Subject]) -> bool:
    return sum(ROLES["head"].holds(subject) for subject in subjects) == 1


RECIPE = Policy(
    name="retinanet",
    about="new kernels N(0, 0.01²), biases zero, the classifier's bias −ln((1 − π)/π) with π = 0.01",
    source="Lin et al., Focal loss for dense object detection (2017), section 4.1",
    code="pytorch/vision torchvision/models/detection/retinanet.py (01fdb48)",
    year=2017,
    laws=(
        RoleLaw("head_bias", _prior, "−ln((1 − prior)/prior)"),
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.01, "prior": 0.01},
    needs=(Need("one read-out, the classifier (else name its tower: {'cls': 'retinanet', '*': …})", _one_head),),
    training=Training("sgd", 0.01, (0.9,), None, 1e-4, "÷10 at 60,000 and 80,000 of 90,000 steps", "batch 16"),
    aliases=("focal_prior",),
    right="Classifiers by sigmoid where positives are rare.",
    wrong="Softmax classifiers, where one bias for all classes changes nothing.",
    leaves="The backbone, which is loaded there, and the box tower, whose bias is zero.",
)
