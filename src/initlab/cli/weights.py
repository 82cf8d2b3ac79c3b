"""Files of weights on the command line: `--weights` reads one into a model, `--out` writes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from initlab.cli import output
from initlab.errors import InputError, listed
from initlab.reporting import check_output, format_number

if TYPE_CHECKING:
    from torch import nn

Out = Annotated[Path, typer.Option("--out", metavar="FILE.safetensors", help="Where the weights are written.")]
Weights = Annotated[Path | None, typer.Option(metavar="FILE", help="Load .safetensors, .pt or .npz first.")]


def checked_out(path: Path) -> Path:
    """`--out`'s path, refused before any work if it cannot be written."""
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"--out must end in .safetensors; got {str(path)[:200]!r}")
    return check_output(path, "--out")


def write(module: nn.Module, path: Path, seed: int) -> None:
    """Put the module's state into one .safetensors file, in its place when it is whole, and say so on stderr.

    Tensors that are tied are stored under each of their names, so that `load_state_dict` takes the file as it is.
    """
    # lazy: PyTorch and safetensors, which a usage error does without
    from safetensors.torch import save

    from initlab.reporting import atomic_write  # lazy: as above

    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    atomic_write(path, save(state))
    values = sum(tensor.numel() for tensor in state.values())
    output.said(path, "weights", f" ({format_number(values)} values, seed {seed})")


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


def _some(names: list[str]) -> str:
    return listed([repr(name[:60]) for name in names], 3) or "nothing"
