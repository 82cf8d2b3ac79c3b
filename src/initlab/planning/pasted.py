"""The code that a page offers to copy for a start that it names."""

from __future__ import annotations

from initlab.planning.policies import list_policies
from initlab.reporting import Code
from initlab.schemes import list_schemes
from initlab.schemes.calls import writes


def start_code(label: str, title: str = "Copy this start") -> list[Code]:
    """The code that writes the start called `label`; none where a name and its arguments do not say it.

    Args:
        label: a policy or scheme as tables show it, such as `auto` or `normal(std=0.02)`.
        title: what stands over the code.

    >>> print(start_code("normal(std=0.02)")[0].code)
    import initlab
    <BLANKLINE>
    start = initlab.get_scheme('normal', std=0.02)
    initlab.init_(model, start, example_inputs=inputs, seed=0)
    """
    name, _, arguments = label.strip().removesuffix(")").partition("(")
    schemes = list_schemes()
    if name not in (*schemes, *list_policies()) or (arguments and name not in schemes):
        return []
    call = f"initlab.get_scheme({name!r}, {arguments})" if arguments else repr(name)
    return [Code(title, writes(call))]
