"""`siren_network`: networks of sines over coordinates."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.schemes import Scheme, get_scheme


def _first(subject: Subject, options: Options) -> Scheme:
    assert subject.geometry is not None
    bound = 1 / subject.geometry.fan_in
    return get_scheme("uniform", low=-bound, high=bound)


def _inner(subject: Subject, options: Options) -> Scheme:
    return get_scheme("siren", omega=options["omega"])


RECIPE = Policy(
    name="siren_network",
    about="first weight U(±1/fan_in), the others U(±√(6/fan_in)/30), biases as torch draws them",
    source=(
        "Sitzmann et al., Implicit neural representations with periodic activation functions (2020), section 3.2 and "
        "supplement 1.5; vsitzmann/siren modules.py (4df34ba)"
    ),
    year=2020,
    laws=(
        RoleLaw("first", _first, "U(±1/fan_in)"),
        RoleLaw("weight", _inner, "U(±√(6/fan_in)/omega), the read-out too"),
        RoleLaw("bias", get_scheme("torch_default"), "U(±1/√fan_in)"),
    ),
    numbers={"omega": 30.0},
    needs=(
        has("first", words="a weight that reads coordinates"),
        has("feeds_sine", words="sines that read weights"),
    ),
    training=Training("adam", 1e-4, (0.9, 0.999), 1e-8, 0.0, "constant"),
    right="Sines of 30 · (Wx + b) over coordinates in [-1, 1].",
    wrong="Sines without the factor: the signal is 30 times smaller in every layer.",
    leaves="The factor 30 in the sines, the model's own code (option omega).",
)
