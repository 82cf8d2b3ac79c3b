"""`initlab fit MODEL`: weights set from data by one of `initlab.fit`'s methods, and written to a file."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from initlab.cli import completing, models, options, output, samples
from initlab.cli import weights as files
from initlab.cli.interruption import Interrupted
from initlab.cli.working import working
from initlab.errors import InputError, unknown
from initlab.reporting import Shown

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Method:
    """How the command line calls one of `initlab.fit`'s functions.

    Args:
        function: its name.
        about: what it does, in a few words.
        rows: whether it takes the training rows (X, Y); else one batch of inputs.
        preset: arguments that follow from the inputs, unless they are given.
    """

    function: str
    about: str
    rows: bool = False
    preset: Callable[[Any], dict[str, Any]] = lambda inputs: {}


def _units(inputs: Any) -> dict[str, Any]:
    """Bernoulli units where every input lies in [0, 1]."""
    return {"visible": "bernoulli" if bool(((inputs >= 0) & (inputs <= 1)).all()) else "gaussian"}


METHODS = {
    "lsuv": Method("lsuv_", "each layer's output to unit variance"),
    "data_dependent": Method("data_dependent_", "units whitened, change rates balanced"),
    "dbn": Method("pretrain_dbn_", "a stack of RBMs under a stack of linear layers", True, _units),
    "rbm": Method("pretrain_dbn_", "the first linear layer as an RBM", True, lambda x: {"layers": 1} | _units(x)),
    "gradinit": Method("gradinit_", "scales that lower the loss after the first step", True),
    "metainit": Method("metainit_", "scales that lower the gradient quotient", True),
    "finetune": Method("finetune_", "the whole model trained, the best epoch kept", True),
}


def _known(incomplete: str) -> list[tuple[str, str]]:
    return [(name, method.about) for name, method in METHODS.items() if name.startswith(incomplete)]


def command(
    model: options.Model,
    out: files.Out,
    method: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help=f"{', '.join(METHODS)}; with arguments: lsuv(tolerance=0.001).",
            autocompletion=_known,
        ),
    ] = "lsuv",
    shapes: samples.Input = None,
    data: samples.Data = None,
    target: samples.Target = None,
    images: samples.Images = None,
    batch: Annotated[int, typer.Option(help="Samples for methods that look at one batch.")] = 256,
    policy: Annotated[
        str | None,
        typer.Option(
            help="Start from this; else from what the method starts from.", autocompletion=completing.policies
        ),
    ] = None,
    weights: files.Weights = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Set a model's weights from data; write a .safetensors file.

    LSUV and data_dependent look at one batch; rbm, dbn, gradinit, metainit and finetune learn from the training rows.

    Example: initlab fit mymodel:build --method lsuv --data digits --out fitted.safetensors
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import fitting, planning

    page, file = output.checked_report(report), files.checked_out(out)
    name, given = options.called(method, "--method")
    if name not in METHODS:
        raise unknown("method", name, METHODS, "initlab fit --help lists them")
    chosen = METHODS[name]
    if data is None and (chosen.rows or shapes is None):
        raise InputError(f"{name} learns from data: give --data {samples.SOURCES}")
    function = getattr(fitting, chosen.function)
    _check(name, function, given)
    with working(f"reading what {name} needs", as_json=as_json):
        module = models.built(model, seed)
        if weights is not None:
            files.load(module, weights)
        start = None if policy is None else options.policy_from(policy)
        fed = _fed(chosen, module, shapes, data, target, images, batch, seed)
        arguments = {"seed": seed} | chosen.preset(fed[0] if chosen.rows else fed) | given
    if "start" in inspect.signature(function).parameters:
        if start is not None or weights is not None:
            arguments = {"start": start} | arguments
    elif start is not None:
        planning.init_(module, start, example_inputs=fed[0][:batch], seed=seed)
    result = _fitted(name, function, module, fed, arguments, as_json)
    output.deliver(result, as_json=as_json, report=page)
    files.write(module, file, seed)


def _fed(
    method: Method,
    module: nn.Module,
    shapes: list[str] | None,
    data: str | None,
    target: str | None,
    images: bool | None,
    batch: int,
    seed: int,
) -> Any:
    def build() -> nn.Module:
        return copy.deepcopy(module)

    if method.rows and data is not None:
        return samples.split_from(data, shapes, target, images, build).train
    return samples.batch_from(build, shapes, data, target, images, batch, seed)[0]


def _fitted(
    name: str, function: Callable[..., Shown], module: nn.Module, fed: Any, arguments: dict[str, Any], as_json: bool
) -> Shown:
    """The function's result, its own bar on a terminal where it has one."""
    if "progress" in inspect.signature(function).parameters:
        arguments = {"progress": sys.stderr.isatty() and not as_json} | arguments
        title = ""
    else:
        title = f"fitting by {name}"
    try:
        with working(title, as_json=as_json or not title), output.stdout_kept():
            return function(module, fed, **arguments)
    except KeyboardInterrupt:
        if arguments.get("checkpoint"):
            kept = f"the epochs that were done are kept in {arguments['checkpoint']}"
            raise Interrupted(kept, "this goes on from there") from None
        raise


def _check(name: str, function: Callable[..., Any], given: dict[str, Any]) -> None:
    known = [
        p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "seed"
    ]
    for argument in given:
        if argument not in known:
            raise unknown(f"argument of {name}", argument, known)
