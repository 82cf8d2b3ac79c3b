"""How a start is written in code that runs as pasted, on the names `model` and `inputs`."""

from __future__ import annotations

from collections.abc import Mapping

from initlab.schemes.scheme import Scheme

Start = str | Scheme | Mapping[str, "str | Scheme"]

_IMPORT = "import initlab\n\n"
_WIDTH = 76  # of a line of code: with its indent it fits a terminal of 80


def call_of(scheme: str | Scheme) -> str:
    """How a scheme is written in code.

    >>> from initlab.schemes import get_scheme
    >>> call_of(get_scheme("normal", mean=0, std=0.02))
    "initlab.get_scheme('normal', mean=0.0, std=0.02)"
    """
    if isinstance(scheme, str):
        return repr(scheme)
    return _named(scheme.name, ", ".join(f"{key}={value!r}" for key, value in scheme.arguments.items()))


def writes(start: Start) -> str:
    """The statements that write `start` into `model`; a long call is a statement of its own, a selector a line.

    >>> print(writes({"@Linear": "he_normal", "*": "keep"}))
    initlab.init_(model, {
        '@Linear': 'he_normal',
        '*': 'keep',
    }, example_inputs=inputs, seed=0)
    """
    if isinstance(start, Mapping):
        lines = "".join(f"    {selector!r}: {call_of(scheme)},\n" for selector, scheme in start.items())
        return _written(f"{{\n{lines}}}")
    return _statements(call_of(start))


def start_code(start: Start) -> str:
    """The whole code, its import included.

    >>> print(start_code("auto").splitlines()[-1])
    initlab.init_(model, 'auto', example_inputs=inputs, seed=0)
    """
    return f"{_IMPORT}{writes(start)}"


def labelled_code(name: str, arguments: str) -> str:
    """The whole code of a start of which only the label is at hand.

    Args:
        name: the policy's or the scheme's.
        arguments: between its brackets, as Python writes them.
    """
    return f"{_IMPORT}{_statements(_named(name, arguments))}"


def _named(name: str, arguments: str) -> str:
    return f"initlab.get_scheme({name!r}, {arguments})" if arguments else repr(name)


def _statements(call: str) -> str:
    line = _written(call)
    return line if len(line) <= _WIDTH else f"start = {_broken(call)}\n{_written('start')}"


def _written(call: str) -> str:
    return f"initlab.init_(model, {call}, example_inputs=inputs, seed=0)"


def _broken(call: str) -> str:
    """The call on one line where there is room, else with an argument a line."""
    name, _, arguments = call.removesuffix(")").partition("(")
    if len(call) <= _WIDTH - len("start = ") or not arguments:
        return call
    return f"{name}(\n    {arguments.replace(', ', f',{chr(10)}    ')},\n)"
