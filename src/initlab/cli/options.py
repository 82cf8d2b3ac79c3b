"""What the command line's words mean: schemes, policies, ranges, and the options that commands share."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from initlab.cli import completing
from initlab.errors import InputError, finite_number, seed_number
from initlab.schemes import get_scheme

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Report = Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Write the report for people.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="package.module:factory; the current folder is searched.")]


Scheme = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="One scheme to explain.", autocompletion=completing.schemes)
]
Policy = Annotated[
    str,
    typer.Option(
        help="auto, torch_default, a scheme such as he_normal or normal(std=0.02), …",
        autocompletion=completing.policies,
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SELECTOR=SCHEME",
        help="A rule for some parameters, such as '@Linear=he_normal'.",
        autocompletion=completing.ruled,
    ),
]
Seed = Annotated[int, typer.Option(help="Root seed in [0, 2^64).", callback=lambda given: seed_number(given))]

_SCHEME = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?", re.DOTALL)


def policy_from(text: str) -> Any:
    """A policy: a name as it is, or a scheme with its arguments set.

    >>> policy_from("auto")
    'auto'
    >>> policy_from("normal(std=0.02)").arguments["std"]
    0.02
    """
    match = _SCHEME.fullmatch(text.strip())
    if match is None:
        raise InputError(f"a scheme is a name, or a name with arguments such as normal(std=0.02); got {text[:100]!r}")
    name, inner = match.group(1), match.group(2)
    if inner is None or not inner.strip():
        return name
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab.planning import get_policy, list_policies

    arguments = _arguments(text, inner)
    return get_policy(name, **arguments) if name in list_policies() else get_scheme(name, **arguments)


def called(text: str, option: str) -> tuple[str, dict[str, Any]]:
    """A name, and the arguments that stand in parentheses after it.

    >>> called("lsuv(tolerance=0.001)", "--method")
    ('lsuv', {'tolerance': 0.001})
    """
    match = _SCHEME.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{option} is a name, or a name with arguments such as lsuv(tolerance=0.001); got {text[:100]!r}"
        )
    inner = match.group(2)
    return match.group(1), _arguments(text, inner) if inner and inner.strip() else {}


def policies_from(text: str) -> list[Any]:
    """A comma-separated list of schemes and policies; commas inside parentheses belong to the scheme.

    >>> [str(getattr(p, "name", p)) for p in policies_from("auto, normal(mean=0, std=0.01)")]
    ['auto', 'normal']
    """
    return [policy_from(part) for part in _parts(text)]


def space_from(schemes: str | None, rules: list[str] | None, numbers: dict[str, str | None]) -> dict[str, Any] | None:
    """What to search: schemes for the whole model, or for each selector, and ranges of numbers; None for the default.

    >>> space_from("he_normal,normal(std=(0.01,1))", None, {"lr": "1e-4:1e-1"})["lr"]
    (0.0001, 0.1)
    """
    space: dict[str, Any] = {} if schemes is None else {"scheme": [_choice(part) for part in _parts(schemes)]}
    for rule in rules or []:
        selector, separator, names = _split_rule(rule)
        if not separator or not selector:
            raise InputError(
                f"--for must be SELECTOR=SCHEMES, such as '@Linear=he_normal,orthogonal'; got {rule[:200]!r}"
            )
        space[selector.strip()] = [_choice(part) for part in _parts(names, "--for")]
    return space | {name: _range(f"--{name}", text) for name, text in numbers.items() if text is not None} or None


def selected(policy: str, rules: list[str] | None) -> Any:
    """The policy, or the mapping of selectors to schemes that `--select` spells out over it."""
    if not rules:
        return policy_from(policy)
    mapping = {"*": policy_from(policy)}
    for rule in rules:
        selector, separator, scheme = _split_rule(rule)
        if not separator or not selector or not scheme:
            raise InputError(f"--select must be SELECTOR=SCHEME, such as '@Linear=he_normal'; got {rule[:200]!r}")
        mapping[selector.strip()] = policy_from(scheme)
    return mapping


def numbers(name: str, text: str, form: str = "numbers such as 0.001 or 0.001,0.01") -> list[float]:
    """Comma-separated finite numbers.

    Args:
        name: the option.
        text: what was given for it.
        form: what would be right, for the error.

    >>> numbers("--lr", "0.001, 1e-2")
    [0.001, 0.01]
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{name} must be {form}; got {text[:100]!r}") from None
    return [finite_number(name, number) for number in found]


def _parts(text: str, option: str = "--schemes") -> list[str]:
    """`text` at its commas outside parentheses."""
    edges = [-1, *_ends(text, ","), len(text)]
    parts = [text[start + 1 : end].strip() for start, end in pairwise(edges)]
    found = [part for part in parts if part]
    if not found:
        raise InputError(f"{option} is empty; give names such as he_normal,xavier_normal,'normal(std=0.01)'")
    return found


def _choice(text: str) -> Any:
    """A scheme to choose; an argument that is a pair of numbers is a range to search."""
    match = _SCHEME.fullmatch(text)
    arguments = _arguments(text, match.group(2)) if match and match.group(2) else {}
    ranges = {name: value for name, value in arguments.items() if isinstance(value, tuple)}
    if match is None or not ranges:
        return policy_from(text)
    fixed = {name: value for name, value in arguments.items() if name not in ranges}
    return get_scheme(match.group(1), **fixed), ranges


def _range(name: str, text: str) -> float | tuple[float, float]:
    form = "a number or LOW:HIGH, such as 1e-4:1e-1"
    parts = text.split(":")
    if len(parts) > 2 or "," in text:
        raise InputError(f"{name} must be {form}; got {text[:100]!r}")
    ends = [end for part in parts for end in numbers(name, part, form)]
    return ends[0] if len(ends) == 1 else (ends[0], ends[1])


def _arguments(text: str, inner: str) -> dict[str, Any]:
    """Keyword arguments that are plain numbers, words and booleans: read, never evaluated."""
    try:
        call = ast.parse(f"f({inner})", mode="eval").body
        assert isinstance(call, ast.Call)
        names = [k.arg for k in call.keywords]
        if call.args or None in names or len(set(names)) < len(names):
            raise ValueError
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AssertionError, MemoryError, RecursionError):
        raise InputError(
            "arguments must be name=value, each once, with finite numbers or quoted words, as in normal(std=0.02); "
            f"got {text[:200]!r}"
        ) from None


def _split_rule(rule: str) -> tuple[str, str, str]:
    """(selector, "=", what stands for it), parted by the last "=" that is not within parentheses."""
    at = max(_ends(rule, "="), default=len(rule))
    return rule[:at], rule[at : at + 1], rule[at + 1 :]


def _ends(text: str, mark: str) -> Iterator[int]:
    """Where `mark` stands outside parentheses."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == mark and depth == 0:
            yield place
