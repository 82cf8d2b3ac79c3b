"""`initlab inspect MODEL`: one forward and backward pass, what is wrong, and whether it will train."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from initlab.cli import models, options, output
from initlab.errors import InputError

if TYPE_CHECKING:
    from torch import nn

UNTRAINABLE = 3


def command(
    model: options.Model,
    shapes: options.Input = None,
    data: options.Data = None,
    images: options.Images = None,
    batch: Annotated[int, typer.Option(help="Samples in the batch.")] = 256,
    policy: Annotated[str | None, typer.Option(help="Initialize so first; else inspect as built.")] = None,
    select: options.Select = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Load .safetensors, .pt or .npz first.")] = None,
    optimizer: Annotated[str, typer.Option(help="What training will use: sgd, adam, adamw, … .")] = "adamw",
    lr: Annotated[float | None, typer.Option(help="What training will use; else the best one is judged.")] = None,
    seed: options.Seed = 0,
    strict: Annotated[bool, typer.Option("--strict", help=f"Exit with {UNTRAINABLE} if untrainable.")] = False,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Say at step zero whether a model will train.

    Signals, gradients and findings of one forward and backward pass, and a verdict.
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import inspection, planning

    target = output.checked_report(report)
    _one_source(shapes, data)
    module = models.built(model, seed)
    inputs, targets = _batch(module, shapes, data, images, options.at_least_one("--batch", batch), seed)
    if weights is not None:
        load(module, weights)
    if policy is not None or select:
        planning.init_(module, options.selected(policy or "auto", select), example_inputs=inputs, seed=seed)
    result = inspection.inspect(module, inputs, targets, optimizer=optimizer, lr=lr)
    output.deliver(result, as_json=as_json, report=target)
    if strict and result.verdict == "untrainable":
        raise typer.Exit(UNTRAINABLE)


def load(module: nn.Module, path: Path) -> None:
    """Put the weights of an untrusted file into `module`; every name and shape must agree.

    Raises:
        InputError: the file is refused, or names or shapes differ.
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab.data import load_weights

    found, wanted = load_weights(path), module.state_dict()
    missing, surplus = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or surplus:
        raise InputError(f"{path} does not fit the model: it lacks {_some(missing)} and has {_some(surplus)} besides")
    other = [n for n in wanted if hasattr(wanted[n], "shape") and wanted[n].shape != found[n].shape]
    if other:
        shapes = f"{tuple(found[other[0]].shape)} in the file and {tuple(wanted[other[0]].shape)} in the model"
        raise InputError(f"{path} does not fit the model: {other[0]!r} has the shape {shapes}")
    if lost := [n for n, tensor in found.items() if tensor.is_complex() and not wanted[n].is_complex()]:
        raise InputError(f"{path} does not fit the model: {lost[0]!r} is complex in the file and real in the model")
    module.load_state_dict(found)


def _one_source(shapes: list[str] | None, data: str | None) -> None:
    if (data is None) == (shapes is None):
        raise InputError("give either --data digits|mnist|FILE.npz or --input SHAPE")


def _batch(
    module: nn.Module, shapes: list[str] | None, data: str | None, images: bool | None, count: int, seed: int
) -> tuple[Any, Any]:
    if data is None:
        return options.example_inputs(shapes, count, seed), None
    x, y = options.split_from(data, images, lambda: copy.deepcopy(module)).train
    return x[:count], y[:count]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(repr(name[:60]) for name in names[:3]) + more or "nothing"
