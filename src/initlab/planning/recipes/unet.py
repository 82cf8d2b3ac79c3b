"""`unet`: diffusion networks of residual convolutions whose branches begin closed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.planning.choice import Options
from initlab.planning.parameters.roles import ROLES
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training, has
from initlab.schemes import Scheme, get_scheme


def _fan_avg(subject: Subject, options: Options) -> Scheme:
    """TensorFlow's variance scaling by fan_avg, whose fans are channels times kernel, whatever the stride."""
    field = math.prod(subject.shape[2:])
    bound = math.sqrt(6 / ((subject.shape[0] + subject.shape[1]) * field))
    return get_scheme("uniform", low=-bound, high=bound)


def _gives_images(scene: Scene, subjects: Sequence[Subject]) -> bool:
    return any(ROLES["head"].holds(subject) and ROLES["conv"].holds(subject) for subject in subjects)


RECIPE = Policy(
    name="unet",
    about="Xavier uniform on kernels as they lie, ends of residual branches and the last convolution zero",
    source=(
        "Ho, Jain & Abbeel, Denoising diffusion probabilistic models (2020), appendix B; hojonathanho/diffusion "
        "diffusion_tf/nn.py, default_init (1e0dceb); zeros: openai/guided-diffusion unet.py, zero_module (22e0df8)"
    ),
    year=2020,
    laws=(
        RoleLaw("head", get_scheme("zeros"), "0 (scale 1e-10 in the first code)"),
        RoleLaw("branch_end", get_scheme("zeros"), "0: every branch starts as the identity"),
        RoleLaw("weight", _fan_avg, "U(±√(6/((in + out) · kernel)))"),
    ),
    needs=(
        Need("a read-out that is a convolution", _gives_images),
        has("branch_end", words="residual branches that end in a weight"),
    ),
    training=Training(
        "adam", 2e-4, (0.9, 0.999), 1e-8, 0.0, "5,000 steps of warm-up, constant", "batch 128; clip 1.0; EMA 0.9999"
    ),
    aliases=("ddpm",),
    right="Noise predictors whose targets have unit variance, with group norms before the convolutions.",
    wrong="Classifiers: a read-out of zero gives the layers below no gradient in the first step.",
    leaves="Where skips of the U join, which need no law of their own. Guided diffusion leaves the rest to torch.",
)
