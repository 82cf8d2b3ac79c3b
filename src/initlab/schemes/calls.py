"""How a start is written in code that runs as pasted, on the names `model` and `inputs`."""

from __future__ import annotations

from initlab.schemes.scheme import Scheme

_WIDTH = 76  # of a line of code: with its indent it fits a terminal of 80


def call_of(scheme: Scheme) -> str:
    """How a scheme is written in code.

    >>> from initlab.schemes import get_scheme
    >>> call_of(get_scheme("normal", mean=0, std=0.02))
    "initlab.get_scheme('normal', mean=0.0, std=0.02)"
    """
    given = ", ".join(f"{key}={value!r}" for key, value in scheme.arguments.items())
    return f"initlab.get_scheme({scheme.name!r}, {given})" if given else repr(scheme.name)


def writes(call: str) -> str:
    """The code that writes the start which `call` names into `model`; a long call is a statement of its own.

    >>> print(writes("'auto'").splitlines()[-1])
    initlab.init_(model, 'auto', example_inputs=inputs, seed=0)
    """
    line = _written(call)
    code = line if len(line) <= _WIDTH else f"start = {_broken(call)}\n{_written('start')}"
    return f"import initlab\n\n{code}"


def _written(call: str) -> str:
    return f"initlab.init_(model, {call}, example_inputs=inputs, seed=0)"


def _broken(call: str) -> str:
    """The call on one line where there is room, else with an argument a line."""
    name, _, arguments = call.removesuffix(")").partition("(")
    if len(call) <= _WIDTH - len("start = ") or not arguments:
        return call
    return f"{name}(\n    {arguments.replace(', ', f',{chr(10)}    ')},\n)"
