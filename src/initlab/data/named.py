"""Data that one word names: digits, mnist, a file of arrays or of columns, a folder of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from initlab.data.arrays import load_arrays
from initlab.data.columns import load_columns
from initlab.data.digits import digits
from initlab.data.images import load_images
from initlab.data.labels import Coding
from initlab.data.mnist import mnist
from initlab.data.split import Split, image_split
from initlab.data.tensors import as_tensors
from initlab.data.untrusted import near_names, short
from initlab.errors import InputError, path_of, unknown

Pair = tuple[Tensor, Tensor]

_EMBEDDED: dict[str, Callable[..., Split]] = {"digits": digits, "mnist": mnist}
_TRAIN = (("x_train", "y_train"), ("x", "y"), ("train_x", "train_y"))
_TEST = (("x_test", "y_test"), ("test_x", "test_y"), ("x_valid", "y_valid"))
_PARTS = (("train", "training"), ("test", "testing", "val", "valid", "validation"))
_FEWEST = 5
_FILES = (".npz", ".csv", ".tsv")


def named(text: str, *, target: str | None = None, shape: Sequence[int] | None = None) -> Split:
    """The data set that `text` names, in its train and test part.

    Where the source has no test part, its rows are put in a fixed random order (files are often sorted by class) and
    every fifth is held out. Images come as (channels, height, width), every pixel less the mean and over the std of
    the training pixels.

    Args:
        text: "digits"; "mnist"; a `.npz` file with X and Y, or x_train, y_train, x_test, y_test; a `.csv` or `.tsv`
            file whose first line names its columns; a folder that holds a folder of images for each class, or such
            folders in `train` and `test`.
        target: the column, or the array, to be predicted; the default is the one called target, label, class or y.
            Words become class numbers in alphabetical order.
        shape: one sample's shape, to which rows are brought if they hold as many numbers; images are scaled to it.

    Returns:
        The `Split`; `classes` holds the words of the classes where there are any.

    Raises:
        InputError: no such source, a file that is refused, too few rows, a shape that does not fit.

    >>> named("digits", shape=(1, 8, 8))
    Split(digits: 1,442 train, 355 test, one sample (1, 8, 8))
    """
    sizes = None if shape is None else tuple(int(size) for size in shape)
    place = path_of("data", text)
    if text in _EMBEDDED:
        _no_target(text, target)
        return _shaped(_EMBEDDED[text](flat=False), sizes)
    if place.suffix.lower() == ".npz":
        return _shaped(_from_arrays(place, target), sizes)
    if place.suffix.lower() in _FILES:
        x, y, classes = load_columns(place, target)
        return _shaped(_two_parts(as_tensors((x, y), short(place)), None, place.name, classes), sizes)
    if place.is_dir():
        _no_target(text, target)
        return _from_images(place, sizes)
    near = [name for name in near_names(place) if Path(name).suffix.lower() in _FILES or Path(name).is_dir()]
    raise unknown("data", text, [*_EMBEDDED, *near], "a .npz or .csv file or a folder of images is right too")


def flattened(split: Split) -> Split:
    """The data with each sample in one row of numbers."""
    return _shaped(split, (split.train[0][0].numel(),))


def held_out(x: Tensor, y: Tensor) -> tuple[Pair, Pair]:
    """(X, Y) without every fifth row, and those rows."""
    fifth = torch.arange(len(x), device="cpu") % 5 == 4
    return (x[~fifth], y[~fifth]), (x[fifth], y[fifth])


def _from_arrays(path: Path, target: str | None) -> Split:
    arrays = load_arrays(path, text=True)
    lowered = {name.lower(): array for name, array in arrays.items()}
    given, apart = (_first_pair(lowered, names) for names in (_TRAIN, _TEST))
    if target is not None:
        given, apart = _targeted(arrays, target, path), None
    if given is None:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise InputError(f"{short(path)} holds {held[:200]}; X and Y, or x_train and y_train, are right")
    coding = Coding()
    train = as_tensors(given, short(path), coding=coding)
    test = None if apart is None else as_tensors(apart, f"{short(path)} test", coding=coding)
    return _two_parts(train, test, path.name, coding.labels or ())


def _first_pair(
    arrays: dict[str, np.ndarray], names: tuple[tuple[str, str], ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    return next(((arrays[x], arrays[y]) for x, y in names if x in arrays and y in arrays), None)


def _targeted(arrays: dict[str, np.ndarray], target: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    if target not in arrays:
        raise unknown(f"array of {short(path)}", target, arrays, "--target names one")
    rest = [name for name in arrays if name != target]
    if len(rest) != 1:
        held = ", ".join(rest)[:200] or "nothing"
        raise InputError(f"{short(path)} holds {held} beside {target!r}; with --target one array is right, X")
    return arrays[rest[0]], arrays[target]


def _from_images(folder: Path, shape: tuple[int, ...] | None) -> Split:
    inside = {child.name.lower(): child for child in sorted(folder.iterdir()) if child.is_dir()}
    train, test = (next((inside[name] for name in names if name in inside), None) for names in _PARTS)
    images = load_images(train if train is not None and test is not None else folder, shape)
    if train is None or test is None:
        (x, y), (u, v) = held_out(*_mixed(torch.from_numpy(images.pixels), torch.from_numpy(images.labels)))
        return _normalized(folder.name, (x, y), (u, v), images.classes)
    size = images.pixels.shape[1:]
    others = load_images(test, size)
    if surplus := sorted(set(others.classes) - set(images.classes)):
        raise InputError(f"{short(test)} has the class {surplus[0]!r}, which {short(train)} has not")
    numbers = np.array([images.classes.index(name) for name in others.classes])[others.labels]
    first = _mixed(torch.from_numpy(images.pixels), torch.from_numpy(images.labels))
    return _normalized(folder.name, first, (torch.from_numpy(others.pixels), torch.from_numpy(numbers)), images.classes)


def _normalized(name: str, train: Pair, test: Pair, classes: tuple[str, ...]) -> Split:
    if not len(test[0]):
        raise InputError(f"{name} has {len(train[0])} images; at least {_FEWEST} are needed to hold some out")
    parts = [(x.numpy(), y.numpy()) for x, y in (train, test)]
    return image_split(name, *parts, top=255, normalize=True, flat=False, classes=classes)


def _two_parts(train: Pair, test: Pair | None, name: str, classes: tuple[str, ...]) -> Split:
    if test is None:
        if len(train[0]) < _FEWEST:
            raise InputError(f"{name} has {len(train[0])} rows; at least {_FEWEST} are needed to hold some out")
        train, test = held_out(*_mixed(*train))
    else:
        train = _mixed(*train)
    one = train[0][0]
    height, width = one.shape[-2:] if one.ndim > 1 else (1, one.numel())
    return Split(train, test, name, (int(height), int(width)), classes)


def _mixed(x: Tensor, y: Tensor) -> Pair:
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(x)))
    return x[order], y[order]


def _shaped(split: Split, shape: tuple[int, ...] | None) -> Split:
    if shape is None:
        return split
    one = tuple(split.train[0].shape[1:])
    if math.prod(shape) != math.prod(one):
        raise InputError(
            f"one sample of {split.name} has the shape {_times(one)}, {math.prod(one):,} numbers, and the shape "
            f"{_times(shape)} asks for {math.prod(shape):,}"
        )
    train, test = ((x.reshape(len(x), *shape), y) for x, y in (split.train, split.test))
    return replace(split, train=train, test=test)


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "of one number"


def _no_target(text: str, target: str | None) -> None:
    if target is not None:
        raise InputError(f"--target names a column of a .csv or an array of a .npz file; {text[:80]!r} has its own")
