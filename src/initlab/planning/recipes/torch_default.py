"""`torch_default`: what torch's own layers draw."""

from __future__ import annotations

from dataclasses import replace

from initlab.planning.choice import Choice, Options
from initlab.planning.defaults.by_role import DEFAULTS, other, padded
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw
from initlab.planning.reason import Reason
from initlab.schemes import get_scheme


def _torch(subject: Subject, options: Options) -> Choice:
    scheme = get_scheme("torch_default")
    if subject.geometry is None or subject.geometry.kind == "other":
        choice = other(subject, options)
        return replace(choice, reason=choice.reason.but(f"not a parameter of torch's own layers: {choice.reason}"))
    note = ""
    if subject.role == "embedding":
        scheme, note = padded(subject, scheme)
    return Choice(scheme, Reason("torch_default", "as torch's reset_parameters draws it" + note))


RECIPE = Policy(
    name="torch_default",
    about="what torch's own reset_parameters draws: U(±1/√fan_in) for weights and biases, N(0, 1) for embeddings",
    source="PyTorch, torch/nn/modules (kaiming_uniform_ with a = √5)",
    year=2017,
    laws=tuple(RoleLaw(role, _torch, "as torch's reset_parameters draws it") for role in ("weight", *DEFAULTS)),
    aliases=("default",),
    right="To repeat what torch does by itself, and small networks with norms.",
    wrong="Deep plain ReLU stacks: Var(W) = 1/(3 fan_in) shrinks the signal to a sixth in each layer.",
    leaves="Nothing that torch's own layers hold; bare parameters get the defaults.",
)
