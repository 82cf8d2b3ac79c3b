"""The code that a page offers to copy for a start that it names."""

from __future__ import annotations

import re

from initlab.planning.policies import list_policies
from initlab.reporting import Code
from initlab.schemes import list_schemes
from initlab.schemes.calls import writes

_LABEL = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)


def start_code(label: str, title: str = "Copy this start") -> list[Code]:
    """The code that writes the start called `label`; none where a name and its arguments do not say it.

    Args:
        label: a policy or scheme as tables show it, such as `auto` or `normal(std=0.02)`.
        title: what stands over the code.

    >>> print(start_code("normal(std=0.02)")[0].code)
    import initlab
    <BLANKLINE>
    initlab.init_(model, initlab.get_scheme('normal', std=0.02), example_inputs=inputs, seed=0)
    """
    match = _LABEL.fullmatch(label.strip())
    schemes = list_schemes()
    if match is None or match[1] not in (*schemes, *list_policies()) or (match[2] and match[1] not in schemes):
        return []
    call = f"initlab.get_scheme({match[1]!r}, {match[2]})" if match[2] else repr(match[1])
    return [Code(title, writes(call))]
