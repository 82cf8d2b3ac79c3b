"""How a start is written in code that runs as pasted, on the names `model` and `inputs`."""

from __future__ import annotations

from initlab.schemes.scheme import Scheme


def call_of(scheme: Scheme) -> str:
    """How a scheme is written in code.

    >>> from initlab.schemes import get_scheme
    >>> call_of(get_scheme("normal", mean=0, std=0.02))
    "initlab.get_scheme('normal', mean=0.0, std=0.02)"
    """
    given = ", ".join(f"{key}={value!r}" for key, value in scheme.arguments.items())
    return f"initlab.get_scheme({scheme.name!r}, {given})" if given else repr(scheme.name)


def writes(call: str) -> str:
    """The code that writes the start which `call` names into `model`."""
    return f"import initlab\n\ninitlab.init_(model, {call}, example_inputs=inputs, seed=0)"
