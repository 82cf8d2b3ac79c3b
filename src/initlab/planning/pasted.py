"""The code that a page offers to copy for a start that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.planning.policies import list_policies
from initlab.reporting import Code
from initlab.schemes import Scheme, list_schemes
from initlab.schemes.calls import labelled_code, start_code

TITLE = "Copy this start"


def copied(start: Any, title: str = TITLE) -> list[Code]:
    """The code that writes `start`: a name, a scheme, or one of them for each selector; none for anything else."""
    parts = list(start.values()) if isinstance(start, Mapping) else [start]
    if not parts or not all(isinstance(part, str | Scheme) for part in parts):
        return []
    return [Code(title, start_code(start))]


def copied_by_label(label: str, title: str = TITLE) -> list[Code]:
    """The code that writes the start called `label`; none where a name and its arguments do not say it.

    Args:
        label: a policy or scheme as tables show it, such as `auto` or `normal(std=0.02)`.
        title: what stands over the code.

    >>> print(copied_by_label("normal(std=0.02)")[0].code)
    import initlab
    <BLANKLINE>
    start = initlab.get_scheme('normal', std=0.02)
    initlab.init_(model, start, example_inputs=inputs, seed=0)
    """
    name, _, arguments = label.strip().removesuffix(")").partition("(")
    schemes = list_schemes()
    if name not in (*schemes, *list_policies()) or (arguments and name not in schemes):
        return []
    return [Code(title, labelled_code(name, arguments))]
