"""The one place where what a user has becomes the model's call: arrays, frames, pairs, mappings, Datasets, loaders."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from initlab.data.frames import array_of, check_holds_values, has_columns, holds_arrays, without_column
from initlab.data.labels import Coding, is_text
from initlab.data.pairs import target_key
from initlab.data.reading import is_dataset, is_loader, one_batch
from initlab.errors import InputError, text
from initlab.guest.check import wrapped
from initlab.guest.inputs import brought, call_arguments, home_of, tensors_in, with_tensors


@dataclass(frozen=True)
class Batch:
    """One call of a model.

    Attributes:
        args, kwargs: of the call.
        targets: what came with the inputs, or was given beside them; None for neither.
        notes: where the inputs were read, and what of them was left out.
        coded: which labels among the targets became which class numbers; "" for none.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    targets: Any
    notes: tuple[str, ...]
    coded: str = ""

    @property
    def inputs(self) -> Any:
        """The call as users write it: a dict of keyword arguments, or a tuple of positional ones."""
        return self.kwargs or self.args


def batch_of(model: nn.Module, given: Any, targets: Any = None, argument: str = "inputs", *, others: str = "") -> Batch:
    """What a user hands over, as one call of `model`, with the targets that are among it.

    A DataLoader gives its first batch and a Dataset 64 samples; neither they nor any random state are moved. A sequence
    that is one longer than the model has arguments, or that a loader gave, ends with the targets. Of a mapping the keys
    that the model does not take are left out; a target's key (`labels`, `label`, `target`, …) among them is the
    target. Text among targets is coded. Inputs come to the device that the model is on, where it is on one.

    Args:
        model: whose `forward` says which arguments there are.
        given: a tensor, array or data frame; a tuple of positional or a mapping of keyword arguments; (X, Y); a
            DataLoader or a Dataset of any of these.
        targets: what the user gave beside it; of a data frame also the name of a column.
        argument: what the user calls `given`.
        others: what else the caller takes, for the error.

    Raises:
        InputError: nothing in it is a tensor, targets in it and beside it, or data that cannot be read.

    >>> found = batch_of(nn.Linear(2, 3), (torch.zeros(4, 2), ["a", "b", "a", "c"]))
    >>> found.args[0].shape, found.targets, found.coded
    (torch.Size([4, 2]), tensor([0, 1, 0, 2]), "3 labels are coded in sorted order: 'a' = 0, 'b' = 1, 'c' = 2")
    """
    notes: list[str] = []
    takes = _Takes.of(model)
    if isinstance(targets, str) and has_columns(given):
        given, targets = without_column(given, targets, argument)
    read = is_loader(given) or is_dataset(given)
    if read:
        given, words = one_batch(given, argument)
        notes.append(f"{argument}: {words}")
    if isinstance(given, Iterator):
        raise InputError(f"{argument}: a {type(given).__name__} would be used up; pass what it runs over, or one batch")
    inputs, found = _parted(given, takes, read)
    if isinstance(inputs, Mapping):
        inputs, found = _accepted(inputs, takes, notes, argument)
    if found is not None and targets is not None:
        raise InputError(f"{argument} hold targets, and targets were given beside them; give one of the two")
    args, kwargs = call_arguments(_numbers(inputs, argument), argument, others=others)
    ready, coded = _targets(found if targets is None else targets)
    home = home_of(model)
    if any(tensor.device != home for tensor in tensors_in((args, kwargs)) if not tensor.is_meta) and home is not None:
        notes.append(f"{argument}: brought to {home}, where the model is")
    args, kwargs = brought(args, home), brought(kwargs, home)
    return Batch(args, kwargs, ready, tuple(notes), coded)


def _targets(targets: Any) -> tuple[Any, str]:
    """Targets as tensors: arrays, frames, and text, which is coded and said.

    Raises:
        InputError: values that are neither numbers nor labels.
    """
    if targets is None:
        return None, ""
    if isinstance(targets, list | tuple) and any(isinstance(part, str) for part in targets):
        targets = np.asarray(targets, dtype=object)
    if hasattr(targets, "to_numpy"):
        targets = np.asarray(targets.to_numpy())
        targets = targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 and is_text(targets) else targets
    if isinstance(targets, np.ndarray) and is_text(targets):
        coding = Coding()
        return coding.coded(targets, "targets"), coding.words
    if isinstance(targets, list) and targets and all(isinstance(part, int | float) for part in targets):
        targets = np.asarray(targets)
    return with_tensors(targets, "targets"), ""


@dataclass(frozen=True)
class _Takes:
    """What a `forward` takes: how many positional arguments at least and at most; which names, and whether any."""

    least: int
    most: float
    named: frozenset[str]
    any_keyword: bool

    @classmethod
    def of(cls, model: nn.Module) -> _Takes:
        try:
            parameters = inspect.signature(wrapped(model).forward).parameters.values()
        except (TypeError, ValueError):  # compiled code has no signature
            return cls(0, math.inf, frozenset(), True)
        plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        least = sum(p.default is p.empty for p in plain)
        most = math.inf if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(plain)
        named = frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        return cls(least, most, named, any(p.kind is p.VAR_KEYWORD for p in parameters))

    def keyword(self, name: Any, value: Any) -> bool:
        """Whether the model takes an argument of that name: any, where it says so, but no text."""
        return text(name) in self.named or (self.any_keyword and not _is_words(value))


def _is_words(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(part, str) for part in value)
    return isinstance(value, str) or (isinstance(value, np.ndarray) and is_text(value))


def _parted(given: Any, takes: _Takes, read: bool) -> tuple[Any, Any]:
    """(inputs, targets) where a sequence ends with targets; else (given, None)."""
    if not isinstance(given, tuple | list) or hasattr(type(given), "_fields") or len(given) < 2:
        return given, None
    count = len(given)
    ends = takes.least < count if read else count == takes.most + 1 and _holds_numbers(given[0])
    if not ends:
        return given, None
    return (given[0] if count == 2 else tuple(given[:-1])), given[-1]


def _holds_numbers(value: Any) -> bool:
    arrays = isinstance(value, np.ndarray) or hasattr(value, "to_numpy")
    return arrays or isinstance(value, Mapping) or next(tensors_in(value), None) is not None


def _accepted(inputs: Mapping[Any, Any], takes: _Takes, notes: list[str], argument: str) -> tuple[Any, Any]:
    """What of a mapping the model takes, and the target among the rest."""
    target = target_key(inputs)
    if target is None or str(target) in takes.named:
        target = None
    elif "labels" in takes.named:
        notes.append(f"{argument}: {str(target)!r} is passed on as 'labels'")
        inputs = {("labels" if key == target else key): value for key, value in inputs.items()}
        target = None
    elif takes.any_keyword:
        target = None
    rest = [key for key, part in inputs.items() if key != target and not takes.keyword(key, part)]
    taken = {key: part for key, part in inputs.items() if key != target and key not in rest}
    found = None if target is None else inputs[target]
    numbers = [key for key in rest if _holds_numbers(inputs[key])]
    if not taken and len(numbers) > 1 and takes.least <= 1 <= takes.most:
        return (dict(inputs),), found  # its one argument is the batch, whatever that is called
    alone = not taken and len(numbers) == 1  # whatever it is called, it is the input
    left = [repr(text(key)) for key in rest if not (alone and key in numbers)]
    if left:
        verb = "is" if len(left) == 1 else "are"
        notes.append(f"{argument}: {', '.join(left)} {verb} left out, which the model does not take")
    return inputs[numbers[0]] if alone else (taken or dict(inputs)), found


def _numbers(value: Any, argument: str) -> Any:
    """`value` with data frames and series as arrays, in sequences and mappings too."""
    if isinstance(value, torch.Tensor | np.ndarray) or hasattr(type(value), "_fields"):
        return value
    if holds_arrays(value):
        return array_of(value, argument)
    check_holds_values(value, argument)
    if isinstance(value, Mapping):
        return {key: _numbers(part, argument) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_numbers(part, argument) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value
