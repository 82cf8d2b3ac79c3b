"""`irnn`: recurrent networks of ReLU whose state begins as kept."""

from __future__ import annotations

from collections.abc import Sequence

from initlab.planning.parameters.roles import ROLES
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal
from initlab.schemes import get_scheme


def _plain(scene: Scene, subjects: Sequence[Subject]) -> bool:
    hidden = (subject.geometry for subject in subjects if ROLES["hidden_to_hidden"].holds(subject))
    return all(geometry is not None and geometry.packing is None for geometry in hidden)


RECIPE = Policy(
    name="irnn",
    about="hidden-to-hidden weights the identity, the others N(0, 0.001²), biases zero",
    source="Le, Jaitly & Hinton, A simple way to initialize recurrent networks of rectified linear units (2015)",
    code=(
        "keras-team/keras examples/mnist_irnn.py (10bfb1c), a third party's: RandomNormal(stddev=0.001), "
        "Identity(gain=1.0)"
    ),
    year=2015,
    laws=(
        RoleLaw("hidden_to_hidden", get_scheme("identity")),
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.001},
    needs=(
        has("hidden_to_hidden", words="a recurrent layer"),
        Need("recurrent layers without gates", _plain, recorded=False),
    ),
    training=Training("sgd", 1e-8, more="rate by task from 1e-9 to 1e-1; gradients clipped at 1 to 1,000"),
    right="Plain recurrent networks of ReLU over long sequences.",
    wrong="LSTM and GRU, whose gates are no copies of the state; tanh, which shrinks what is kept.",
    leaves="The scale of the identity: 1 here, 0.01 for tasks of short memory.",
)
