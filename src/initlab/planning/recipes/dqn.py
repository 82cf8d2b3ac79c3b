"""`dqn`: what Torch7 drew."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="dqn",
    about="weights and biases U(±1/√fan_in)",
    source="Mnih et al., Human-level control through deep reinforcement learning (2015): the layers of Torch7",
    code=(
        "kuz/DeepMind-Atari-Deep-Q-Learner, a copy of the authors' release: dqn/convnet.lua (310811e) draws "
        "nothing of its own; torch/nn SpatialConvolution.lua, reset (2836584): U(±1/√(kW · kH · in)), biases too"
    ),
    year=2015,
    laws=(
        RoleLaw("weight", get_scheme("torch_default"), "U(±1/√fan_in)"),
        RoleLaw("bias", get_scheme("torch_default"), "U(±1/√fan_in)"),
    ),
    training=Training(
        "rmsprop", 2.5e-4, (0.95,), 0.01, 0.0, "constant", "batch 32; clipped errors; centred, eps within the root"
    ),
    right="Small convolutional Q-networks.",
    wrong="Deep stacks without norms: Var(W) = 1/(3 fan_in) shrinks the signal to a sixth in each layer.",
    leaves="Nothing of its layers.",
)
