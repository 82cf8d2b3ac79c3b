"""What `--input` and `--data` mean, wherever they stand: one sample's shape, and where samples come from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from initlab.cli import completing
from initlab.cli.output import beside, stdout_kept
from initlab.errors import InputError, whole_number

if TYPE_CHECKING:
    from torch import Tensor, nn

    from initlab.data import Split

Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="SHAPE",
        help="One sample's shape: 64, 3x32x32, 16:50257 for token ids; random values, or --data brought to it.",
    ),
]
SOURCES = "digits, mnist, FILE.npz, FILE.csv, or a folder of images with a folder for each class"


Data = Annotated[str | None, typer.Option(metavar="DATA", help=f"{SOURCES}.", autocompletion=completing.data)]
Trained = Annotated[str, typer.Option("--data", metavar="DATA", help=f"{SOURCES}.", autocompletion=completing.data)]
Target = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The column of a .csv, or the array of a .npz, to predict; else target, label …"),
]
Images = Annotated[
    bool | None,
    typer.Option("--images/--flat", help="Images as (channels, height, width) or flat; else as the model takes them."),
]

_SIZE = r"\d{1,18}"  # all that fit 64 bits
_SHAPE = re.compile(rf"({_SIZE}(?:[x,]{_SIZE})*)?(?::({_SIZE}))?")


def batch_from(
    build: Callable[[], nn.Module],
    shapes: list[str] | None,
    data: str | None,
    target: str | None,
    images: bool | None,
    count: int,
    seed: int,
) -> tuple[Any, Any]:
    """(inputs, targets) of `count` samples: random ones of `shapes`, without targets, or the first of the data."""
    whole_number("--batch", count)
    if data is None:
        if target is not None:
            raise InputError("--target names what to predict in --data; give --data too")
        return example_inputs(shapes, count, seed), None
    x, y = split_from(data, shapes, target, images, build).train
    return x[:count], y[:count]


def example_inputs(shapes: list[str] | None, batch: int, seed: int) -> Any:
    """Random inputs of the given sample shapes with `batch` samples: one tensor, or a tuple for several; None without.

    >>> tuple(example_inputs(["3x8x8"], 2, 0).shape), example_inputs(["4:10"], 2, 0).dtype
    ((2, 3, 8, 8), torch.int64)
    >>> len(example_inputs(["4", "4"], 2, 2**64 - 1))
    2
    """
    if not shapes:
        return None
    count = whole_number("--batch", batch)
    tensors = tuple(_random(text, count, (seed + place) % 2**64) for place, text in enumerate(shapes))
    return tensors[0] if len(tensors) == 1 else tensors


def split_from(
    text: str, shapes: list[str] | None, target: str | None, images: bool | None, build: Callable[[], nn.Module]
) -> Split:
    """The data that `--data` names, in its train and test part.

    Args:
        text: what `initlab.data.named` takes.
        shapes: `--input`: the one shape to which samples are brought.
        target: `--target`.
        images: whether images come as (channels, height, width); None for flat, unless only images pass through the
            model.
        build: () -> the model.
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import data
    from initlab.data.labels import coding_words  # lazy: as above

    split = data.named(text, target=target, shape=_one_shape(shapes) if shapes else None)
    beside(*([f"targets: {coding_words(split.classes)}"] if split.classes else []))
    if shapes:
        return split
    if images or split.train[0].ndim != 4:
        return split
    flat = data.flattened(split)
    return flat if images is False or _passes(build, flat) or not _passes(build, split) else split


def _one_shape(shapes: list[str]) -> list[int]:
    sizes, tokens = _sizes(shapes[0])
    if len(shapes) > 1 or tokens is not None:
        raise InputError(f"with --data one --input is right, the shape of a sample; got {', '.join(shapes)[:100]!r}")
    return sizes


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


def _random(text: str, batch: int, seed: int) -> Tensor:
    # lazy: PyTorch takes a second that a usage error and `initlab schemes` do without
    import torch

    sizes, tokens = _sizes(text)
    if batch * math.prod(sizes) > 2**31:
        raise InputError(f"--input {text[:100]} has more than 2^31 values in a batch of {batch}; give a smaller shape")
    generator = torch.Generator().manual_seed(seed)
    if tokens is not None:
        return torch.randint(0, tokens, (batch, *sizes), generator=generator, device="cpu")
    return torch.randn((batch, *sizes), generator=generator, device="cpu")


def _sizes(text: str) -> tuple[list[int], int | None]:
    """A shape's sizes, and how many token ids there are; None for numbers."""
    match = _SHAPE.fullmatch(text.strip())
    if match is None or not text.strip():
        raise InputError(f"--input must be a shape such as 64, 3x32x32 or 16:50257 (token ids); got {text[:100]!r}")
    sizes = [int(part) for part in re.split("[x,]", match.group(1) or "") if part]
    tokens = None if match.group(2) is None else int(match.group(2))
    if 0 in sizes or (tokens is not None and tokens < 1):
        raise InputError(f"--input must have sizes of at least 1; got {text[:100]!r}")
    return sizes, tokens
