"""`initlab init MODEL`: the planned values, drawn from the named streams and written to a file of weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from initlab.cli import models, options, output
from initlab.errors import InputError
from initlab.reporting import check_output, format_number, print_page

if TYPE_CHECKING:
    from torch import nn


def command(
    model: options.Model,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.safetensors", help="Where the weights are written.")],
    shapes: options.Input = None,
    policy: options.Policy = "auto",
    select: options.Select = None,
    batch: Annotated[int, typer.Option(help="Samples in the random input.")] = 32,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Draw a model's starting weights and write them to a .safetensors file.

    The same bits on every machine for one seed.

    Example: initlab init mymodel:build --input 1x8x8 --out start.safetensors
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import planning
    from initlab.planning.view import plan_section  # lazy: as above

    target, file = output.checked_report(report), _checked(out)
    module = models.built(model, seed)
    inputs = options.example_inputs(shapes, batch, seed)
    plan = planning.init_(module, options.selected(policy, select), example_inputs=inputs, seed=seed)
    written = write(module, file)
    if as_json:
        output.deliver(plan, as_json=True, report=None)
    else:
        print_page(plan_section(plan))
    output.note(f"weights: {file} ({format_number(written)} values, seed {seed})")
    if target is not None:
        output.said(plan.save(target))


def _checked(path: Path) -> Path:
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"--out must end in .safetensors; got {str(path)[:200]!r}")
    return check_output(path, "--out")


def write(module: nn.Module, path: Path) -> int:
    """The module's state in one .safetensors file, put in its place when it is whole; how many values it holds.

    Tensors that are tied are stored under each of their names, so that `load_state_dict` takes the file as it is.
    """
    # lazy: PyTorch and safetensors, which a usage error does without
    from safetensors.torch import save

    from initlab.reporting import atomic_write  # lazy: as above

    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    atomic_write(path, save(state))
    return sum(tensor.numel() for tensor in state.values())
