"""Running a user's model on a batch while its parameters are fitted: what the batch must be, modes, and undoing."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from initlab.guest.batch import batch_of
from initlab.guest.check import check_whole, is_strided
from initlab.guest.inputs import check_values, taken_by, tensors_in
from initlab.guest.modules import in_mode
from initlab.guest.run import run, with_room
from initlab.guest.untouched import untouched
from initlab.planning import Plan, init_
from initlab.planning.memory.tensors import check_writable, overlaps_itself


def batch_for(model: nn.Module, batch: Any, argument: str = "batch") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A batch, or one of a DataLoader or Dataset, as positional and keyword arguments, where the model's parameters
    are and in their dtype; targets that are among it are left out.

    Raises:
        InputError: no tensor in it, no rows, NaN or infinite values.

    >>> args, kwargs = batch_for(nn.Linear(3, 1).double(), torch.zeros(2, 3))
    >>> args[0].dtype, kwargs
    (torch.float64, {})
    """
    found = batch_of(model, batch, argument=argument)
    check_values(found.args, found.kwargs, argument)
    return taken_by(model, found.args, found.kwargs)


def run_model(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, argument: str = "batch"
) -> Any:
    """The model's output on arguments taken to where its parameters are; an `InputError` where its forward raises."""
    given, named = taken_by(model, args, kwargs or {})
    return run(model, given, named, argument)


def started(
    model: nn.Module, start: Any, args: tuple[Any, ...], kwargs: dict[str, Any], seed: int, argument: str = "batch"
) -> Plan | None:
    """The start, written into the model and planned on the batch; None where the weights stay as they are.

    The batch is run first, so that one that does not fit is refused by what the caller calls it.
    """
    if start is None:
        return None
    with torch.no_grad():
        run_model(model, args, kwargs, argument)
    return init_(model, start, example_inputs=kwargs or args, seed=seed)


@contextlib.contextmanager
def measuring(model: nn.Module, *, statistics: bool = True) -> Iterator[None]:
    """Inside: evaluation mode, but batch norms use the batch (`statistics`). Afterwards all but weights is as before.

    Dropout would add noise to what is measured; a batch norm's running statistics say nothing before training.
    """
    with untouched(model, parameters=False), with_room():
        in_mode(model, False)
        for module in model.modules():
            if statistics and isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.training = True
        yield


@contextlib.contextmanager
def kept_on_failure(model: nn.Module) -> Iterator[None]:
    """A copy of the parameters and buffers is held, and put back, with each `.grad`, if anything is raised inside
    (Ctrl-C included).

    Raises:
        InputError: a parameter that trains and cannot be written in place, or is sharded.
    """
    check_whole(model)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            check_writable(name, parameter.detach())
    own = itertools.chain(model.parameters(), model.buffers())
    saved = [(tensor, tensor.detach().clone()) for tensor in own if is_strided(tensor) and not overlaps_itself(tensor)]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for tensor, values in saved:
                tensor.copy_(values)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        raise


@contextlib.contextmanager
def plain_kernels() -> Iterator[None]:
    """Inside, layers run as the products they are made of, without the fused kernels that stand for several at once."""
    mkldnn, cudnn, fast = (
        torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled(), torch.backends.mha.get_fastpath_enabled()
    )  # fmt: skip
    try:
        torch._C._set_mkldnn_enabled(False)  # their recurrent layers are one opaque operation each
        torch._C._set_cudnn_enabled(False)
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch._C._set_mkldnn_enabled(mkldnn)
        torch._C._set_cudnn_enabled(cudnn)
        torch.backends.mha.set_fastpath_enabled(fast)


def linears_used(model: nn.Module, sample: Tensor, argument: str) -> list[tuple[str, nn.Linear]]:
    """(name, layer) at each use of an `nn.Linear` in a forward pass, in that order.

    >>> linears_used(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), torch.zeros(1, 2), "data")
    [('0', Linear(in_features=2, out_features=3, bias=True)), ('2', Linear(in_features=3, out_features=1, bias=True))]
    """
    used: list[tuple[str, nn.Linear]] = []
    handles = [
        layer.register_forward_pre_hook(lambda module, inputs, name=name: used.append((name, module)))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        with measuring(model, statistics=False), torch.no_grad():
            run_model(model, (sample,), argument=argument)
    finally:
        for handle in handles:
            handle.remove()
    return used


def floating_in(output: Any) -> list[Tensor]:
    """The floating-point tensors in a model's output.

    >>> len(floating_in({"logits": torch.zeros(2), "more": [torch.zeros(1), torch.tensor(3)]}))
    2
    """
    return [tensor for tensor in tensors_in(output) if tensor.is_floating_point()]


def generator(seed: int) -> torch.Generator:
    """A torch generator of its own, on the CPU."""
    result = torch.Generator()
    result.manual_seed(seed % 2**63)
    return result
