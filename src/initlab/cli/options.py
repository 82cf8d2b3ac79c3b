"""What the command line's words mean: shapes, schemes, policies, data, and the options that commands share."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from initlab.cli.output import stdout_kept
from initlab.errors import InputError, finite_number, unknown
from initlab.schemes import get_scheme

if TYPE_CHECKING:
    from torch import Tensor, nn

    from initlab.data import Split

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Report = Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Write the report for people.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="package.module:factory; the current folder is searched.")]
Policy = Annotated[str, typer.Option(help="auto, torch_default, a scheme such as he_normal or normal(std=0.02), …")]
Select = Annotated[
    list[str] | None,
    typer.Option(metavar="SELECTOR=SCHEME", help="A rule for some parameters, such as 'conv*.weight=he_normal'."),
]
Input = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="SHAPE", help="One sample's shape: 64, 3x32x32, or 16:50257 for token ids."),
]
Data = Annotated[str | None, typer.Option(help="digits, mnist, or a .npz file with X and Y.")]
Seed = Annotated[int, typer.Option(help="Root seed in [0, 2^64).")]
Images = Annotated[
    bool | None,
    typer.Option(
        "--images/--flat", help="Digits and MNIST as (1, height, width) or flat; else as the model takes them."
    ),
]

_SCHEME = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?", re.DOTALL)
_SHAPE = re.compile(r"(\d+(?:[x,]\d+)*)?(?::(\d+))?")
_TRAIN = (("x_train", "y_train"), ("x", "y"), ("train_x", "train_y"))
_TEST = (("x_test", "y_test"), ("test_x", "test_y"), ("x_valid", "y_valid"))


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
            raise InputError(f"--select must be SELECTOR=SCHEME, such as 'conv*.weight=he_normal'; got {rule[:200]!r}")
        mapping[selector.strip()] = policy_from(scheme)
    return mapping


def example_inputs(shapes: list[str] | None, batch: int, seed: int) -> Any:
    """Random inputs of the given sample shapes with `batch` samples: one tensor, or a tuple for several; None without.

    >>> tuple(example_inputs(["3x8x8"], 2, 0).shape), example_inputs(["4:10"], 2, 0).dtype
    ((2, 3, 8, 8), torch.int64)
    """
    if not shapes:
        return None
    tensors = tuple(_random(text, at_least_one("--batch", batch), seed + i) for i, text in enumerate(shapes))
    return tensors[0] if len(tensors) == 1 else tensors


def split_from(text: str, images: bool | None, build: Callable[[], nn.Module]) -> Split:
    """The data that `--data` names, in its train and test part.

    A .npz file holds X and Y (every fifth row is then held out for the test), or x_train, y_train, x_test, y_test.

    Args:
        text: "digits", "mnist" or a .npz file.
        images: whether digits and MNIST come as (1, height, width); None for flat, unless only pictures pass through
            the model.
        build: () -> the model.
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import data

    if text in ("digits", "mnist"):
        load = data.digits if text == "digits" else data.mnist
        flat = load(flat=True) if not images else None
        if flat is not None and (images is False or _passes(build, flat) or not _passes(build, load(flat=False))):
            return flat
        return load(flat=False)
    if text.endswith(".npz"):
        return _split_file(Path(text))
    raise unknown("--data", text, ["digits", "mnist", "FILE.npz"])


def _passes(build: Callable[[], nn.Module], split: Split) -> bool:
    """Whether two rows of the data pass through the model."""
    # lazy: PyTorch takes a second that a usage error and `initlab schemes` do without
    import torch

    try:
        with torch.no_grad(), stdout_kept():
            build().eval()(split.train[0][:2])
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False
    return True


def held_out(x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(X, Y) without every fifth row, and those rows."""
    # lazy: PyTorch takes a second that a usage error and `initlab schemes` do without
    import torch

    fifth = torch.arange(len(x)) % 5 == 4
    return (x[~fifth], y[~fifth]), (x[fifth], y[fifth])


def numbers(name: str, text: str) -> list[float]:
    """Comma-separated finite numbers.

    >>> numbers("--lr", "0.001, 1e-2")
    [0.001, 0.01]
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{name} must be numbers such as 0.001 or 0.001,0.01; got {text[:100]!r}") from None
    return [finite_number(name, number) for number in found]


def at_least_one(name: str, value: int) -> int:
    """`value`, refused below 1."""
    return int(finite_number(name, value, low=1))


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
    ends = numbers(name, text.replace(":", ","))
    if len(ends) > 2:
        raise InputError(f"{name} must be a number or LOW:HIGH, such as 1e-4:1e-1; got {text[:100]!r}")
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


def _random(text: str, batch: int, seed: int) -> Tensor:
    # lazy: PyTorch takes a second that a usage error and `initlab schemes` do without
    import torch

    match = _SHAPE.fullmatch(text.strip())
    if match is None or not text.strip():
        raise InputError(f"--input must be a shape such as 64, 3x32x32 or 16:50257 (token ids); got {text[:100]!r}")
    sizes = [int(part) for part in re.split("[x,]", match.group(1) or "") if part]
    if 0 in sizes or (match.group(2) is not None and int(match.group(2)) < 1):
        raise InputError(f"--input must have sizes of at least 1; got {text[:100]!r}")
    if batch * _product(sizes) > 2**31:
        raise InputError(f"--input {text[:100]} has more than 2^31 values in a batch of {batch}; give a smaller shape")
    generator = torch.Generator().manual_seed(seed)
    if match.group(2) is not None:
        return torch.randint(0, int(match.group(2)), (batch, *sizes), generator=generator)
    return torch.randn((batch, *sizes), generator=generator)


def _first_pair(arrays: dict[str, Any], names: tuple[tuple[str, str], ...]) -> tuple[Any, Any] | None:
    return next(((arrays[x], arrays[y]) for x, y in names if x in arrays and y in arrays), None)


def _product(sizes: list[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _split_file(path: Path) -> Split:
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import data

    arrays = {name.lower(): array for name, array in data.load_arrays(path).items()}
    given, apart = (_first_pair(arrays, names) for names in (_TRAIN, _TEST))
    if given is None:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise InputError(f"{path} holds {held[:200]}; X and Y, or x_train and y_train, are right")
    x, y = data.as_tensors(given, str(path))
    if apart is not None:
        train, test = (x, y), data.as_tensors(apart, f"{path} test")
    elif len(x) < 5:
        raise InputError(f"{path} has {len(x)} rows; at least 5 are needed to hold some out for the test")
    else:
        train, test = held_out(x, y)
    shape = tuple(x.shape[-2:]) if x.ndim > 2 else (1, x[0].numel())
    return data.Split(train, test, path.name, (int(shape[0]), int(shape[1])))
