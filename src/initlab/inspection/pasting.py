"""The code of a fix: Python that runs as pasted, on the names by which the user handed things over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from initlab.data.pairs import target_key
from initlab.data.reading import is_dataset, is_loader
from initlab.inspection.remedy import Remedy
from initlab.schemes.calls import writes

EACH = "# of each batch, where it is read:"


def code_of(remedies: Sequence[Remedy], policy: Any, given: Any, held: bool) -> str:
    """Changes of data, loss, rate and modules, then what `init_` writes; what only its author can change as comments.

    Args:
        remedies: the changes.
        policy: what all of them write; None for nothing.
        given: the inputs as the user handed them over.
        held: whether the targets were among them.
    """
    lines = ["import initlab"] if policy is not None else []
    for line in _changes(remedies, given, held):
        if line not in lines or line.startswith("    "):
            lines.append(line)
    return "\n".join([*lines, *([] if policy is None else [writes(policy)])])


def _changes(remedies: Sequence[Remedy], given: Any, held: bool) -> list[str]:
    lines: list[str] = []
    for r in remedies:
        code = r.code.splitlines()
        if code and (r.inputs is not None or r.targets is not None):
            if is_loader(given) or is_dataset(given):
                code = [EACH, *(f"# {line}" for line in code)]
            elif held:
                code = [_apart(given), *code]
        lines += code if code or r.policy is not None else [f"# {r.what}"]
    return lines


def _apart(given: Any) -> str:
    """Takes the targets out of a batch that holds them."""
    if isinstance(given, Mapping):
        return f"targets = inputs[{target_key(given)!r}]"
    return "inputs, targets = inputs" if len(given) == 2 else "inputs, targets = inputs[:-1], inputs[-1]"
