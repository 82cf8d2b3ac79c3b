"""`record`: one forward pass of any model as a `SignalGraph`, leaving the model and the world as they were."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from initlab.errors import InputError
from initlab.graph.dropping import Still, told
from initlab.graph.living import living
from initlab.graph.signal_graph import SignalGraph
from initlab.graph.tracer import Tracer
from initlab.guest.batch import batch_of
from initlab.guest.check import check_module, check_shaped
from initlab.guest.inputs import mapped, tensors_in
from initlab.guest.known import Known
from initlab.guest.modules import dotted, modules_of
from initlab.guest.run import Follower, hosted, run
from initlab.guest.stand_ins import StandIns
from initlab.guest.whole import as_one_process
from initlab.shared import Shared


def record(model: nn.Module, example_inputs: Any) -> SignalGraph:
    """One forward pass of a model, as the operations that it ran.

    The pass runs without gradients in evaluation mode (so that dropout and random depth hide nothing, and are recorded
    with their rates all the same); a model in training mode whose parameters are not all used then is run once more in
    training mode, and the fuller pass counts. Random numbers that the model draws are the same each time. Training
    flags, buffers and random states are as before afterwards, whatever happens. What the model prints goes to standard
    error. A sharded model (DTensor parameters) runs as it would on one process, without communication and with one
    number in place of each parameter's values: a layer's weight is in memory whole only while it is applied.

    Args:
        model: any module whose forward runs.
        example_inputs: what `batch_of` takes: a tensor or array; a tuple of positional arguments; a dict of keyword
            arguments; a DataLoader; …; or a shape, such as (8, 3, 32, 32), for which no data is needed: the pass then
            runs on shapes alone where the model allows it.

    Returns:
        The recording. `graph.uses("fc1.weight")` says what feeds a weight.

    Raises:
        InputError: no module, lazy parameters, no tensor in the inputs, a forward that raises or exits (with the
            failing module and the shapes it saw), or one that returns no tensor.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph = record(net, torch.zeros(1, 4))
    >>> [operation.kind for operation in graph.operations]
    ['linear', 'relu', 'linear']
    >>> graph.uses("2.weight")[0].feeds.activation
    'relu'
    """
    with as_one_process(module for _, module in modules_of(check_module(model)).values()):
        place = _Place.of(model)
        given = _example(example_inputs, place)
        graph = _run(place, given, training=False)
        if model.training and _unused(place, graph):
            with contextlib.suppress(InputError):
                fuller = _run(place, given, training=True)
                if len(_unused(place, fuller)) < len(_unused(place, graph)):
                    graph = fuller
    return graph


def run_under(
    model: nn.Module, example_inputs: Any, mode: TorchFunctionMode, names: Callable[[dict[int, str]], None]
) -> Any:
    """One forward pass under a torch function mode of the caller's, leaving everything as it was.

    Layers with running statistics use the batch's, as in training; the rest is in evaluation mode, so that no layer is
    skipped; what training drops a mode learns from calls of dropout and of `module_dropout`. Random numbers that
    the model draws are the same each time. A sharded model runs as for `record`.

    Args:
        model: any module whose forward runs.
        example_inputs: as for `record`.
        mode: what is entered around the forward.
        names: called before it with id -> name of the tensors that stand for parameters during the pass.

    Returns:
        What the forward returned.

    Raises:
        InputError: the forward raises, with the failing module and the shapes it saw.
    """
    with as_one_process(module for _, module in modules_of(model).values()):
        place = _Place.of(model)
        given = _drawn(place, _example(example_inputs, place))
        names(place.parameters)
        hushed = hosted(model, quiet=True, seed=0)
        with hushed, told(place.modules, place.still), Follower(model) as follower, mode:
            for _, module in place.modules.values():
                module.training = getattr(module, "running_mean", None) is not None
            with Still(place.still, follower.stack) if place.still else contextlib.nullcontext():
                return run(model, given.args, given.kwargs, "example_inputs", follower)


@dataclass(frozen=True)
class _Place:
    """A model with the names of all that is in it."""

    model: nn.Module
    modules: dict[int, tuple[str, nn.Module]]
    parameters: dict[int, str]
    tensors: dict[int, torch.Tensor]
    meta: bool
    still: frozenset[str] = frozenset()  # paths of modules in evaluation mode in a model that trains

    @property
    def device(self) -> torch.device:
        return next((tensor.device for tensor in self.tensors.values()), torch.device("cpu"))

    @classmethod
    def of(cls, model: nn.Module) -> _Place:
        modules = modules_of(model)
        names: dict[int, str] = {}
        tensors: dict[int, torch.Tensor] = {}
        for path, module in modules.values():
            for leaf, parameter in module._parameters.items():
                if parameter is None:
                    continue
                name = dotted(path, leaf)
                check_shaped(name, parameter)
                names.setdefault(id(parameter), name)
                tensors[id(parameter)] = parameter
        still = frozenset(path for path, module in modules.values() if model.training and not module.training)
        return cls(model, modules, names, tensors, any(tensor.is_meta for tensor in tensors.values()), still)


@dataclass(frozen=True)
class _Given:
    """The arguments of the forward pass, or the shape of its one input.

    Args:
        args: by position.
        kwargs: by name.
        shape: of the one input.
        valued: the same with the values that were given, for a model without.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] | None = None
    valued: _Given | None = None

    def drawn(self, place: _Place) -> _Given:
        """With standard normal numbers where only a shape was given."""
        if self.shape is None:
            return self
        if place.meta:
            return _Given((torch.empty(self.shape, device="meta"),), {})
        numbers = torch.randn(self.shape, generator=torch.Generator(device="cpu").manual_seed(0), device="cpu")
        return _Given((numbers.to(place.device),), {})

    def with_values(self) -> tuple[_Given, list[torch.Tensor]]:
        """The same with the values that were given, made up where none were; and which tensors are made up."""
        given, invented = self.valued or self, list[torch.Tensor]()

        def valued(tensor: torch.Tensor) -> torch.Tensor:
            if not tensor.is_meta:
                return tensor
            invented.append(_made_up(tensor))
            return invented[-1]

        return _Given(mapped(given.args, valued), mapped(given.kwargs, valued)), invented

    def pairs(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Each tensor without values with the one that it was made of, where that has any."""
        if self.valued is not None:
            own, valued = (tensors_in((given.args, given.kwargs)) for given in (self, self.valued))
            yield from (pair for pair in zip(own, valued, strict=True) if not pair[1].is_meta)


def _example(example_inputs: Any, place: _Place) -> _Given:
    if is_shape(example_inputs):
        return _Given((), {}, tuple(int(size) for size in example_inputs))
    batch = batch_of(place.model, example_inputs, argument="example_inputs", others=", or a shape")
    if not place.meta:
        return _Given(batch.args, batch.kwargs)
    valued = _Given(batch.args, batch.kwargs)
    return _Given(mapped(batch.args, _without_values), mapped(batch.kwargs, _without_values), valued=valued)


def is_shape(item: Any) -> bool:
    """Whether it is the shape of a model's one input."""
    return (
        isinstance(item, tuple | list)
        and len(item) > 0
        and all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in item)
    )


def _without_values(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to("meta")


def _made_up(tensor: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers, and zeros of what is counted, in the shape of a tensor without values."""
    made = torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")
    numbers = tensor.is_floating_point() or tensor.is_complex()
    return made.normal_(generator=torch.Generator(device="cpu").manual_seed(0)) if numbers else made


def _unused(place: _Place, graph: SignalGraph) -> set[str]:
    used = {name for operation in graph.operations for name in operation.parameters}
    return set(place.parameters.values()) - used


def _run(place: _Place, given: _Given, training: bool) -> SignalGraph:
    if given.shape is not None and not place.meta:
        with contextlib.suppress(Exception):  # a forward that looks at numbers cannot run on shapes: it gets numbers
            return _pass(place, given, training, fake=True)
    given = _drawn(place, given)
    try:
        return _pass(place, given, training)
    except InputError as error:
        if place.meta:  # a forward that looks at numbers
            with contextlib.suppress(InputError):
                return _pass(place, given, training, valued=True)
        if isinstance(error.__cause__, RuntimeError):  # as of a forward that asks autograd for gradients
            with contextlib.suppress(InputError):
                return _pass(place, given, training, gradients=True)
        raise


def _drawn(place: _Place, given: _Given) -> _Given:
    try:
        return given.drawn(place)
    except (RuntimeError, TypeError) as error:  # a size beyond 64 bits is a TypeError
        why = str(error).split("\n")[0][:200]
        raise InputError(f"example_inputs of shape {given.shape} do not fit in memory: {why}") from error


def _pass(
    place: _Place,
    given: _Given,
    training: bool,
    *,
    fake: bool = False,
    gradients: bool = False,
    valued: bool = False,
) -> SignalGraph:
    known: StandIns | Known | None = None
    if valued:
        given, invented = given.with_values()
        known = StandIns(invented)
    elif place.meta:
        known = Known(given.pairs())
    tracer = Tracer(place.parameters, known.of) if known else Tracer(place.parameters)
    follower = Follower(place.model)
    tracer.stack = follower.stack
    with contextlib.ExitStack() as stack:
        stack.enter_context(hosted(place.model, gradients=gradients, quiet=training, seed=0))
        for _, module in place.modules.values():
            module.training = training
        if not training:
            stack.enter_context(told(place.modules, place.still))
        if fake:
            given = replace(given, args=_faked(stack, given, place))
        elif known:
            if not valued:
                stack.enter_context(torch.device("meta"))
            stack.enter_context(known)
        inputs = tuple(tracer.add_input(tensor) for tensor in tensors_in((given.args, given.kwargs)))
        stack.enter_context(follower)
        stack.enter_context(tracer)
        if place.still and not training:
            stack.enter_context(Still(place.still, follower.stack))
        stack.enter_context(_nothing_collected())
        output = run(place.model, given.args, given.kwargs, "example_inputs", follower)
        outputs = tuple(tracer.value_of(tensor) for tensor in tensors_in(output))
        held = tracer.held
    if not outputs:
        raise InputError(
            f"forward of {type(place.model).__name__} returned {_kind_words(output)}; it must return a tensor, or "
            "tensors in a tuple, list, dict or dataclass"
        )
    operations, values = living(tracer.operations, tracer.values, held.union(outputs), tracer.made_of_parameters)
    return SignalGraph(operations, values, inputs, outputs, training, held=frozenset(held))


def _uncollecting() -> Callable[[], object]:
    collects = gc.isenabled()
    gc.disable()
    return gc.enable if collects else lambda: None


# Which values are held at the end of a pass hangs then on the model alone, and on no moment of collection.
_nothing_collected = Shared(_uncollecting).held


def _faked(stack: contextlib.ExitStack, given: _Given, place: _Place) -> tuple[Any, ...]:
    # lazy: it loads symbolic shapes and sympy, which few passes need
    from torch._subclasses.fake_tensor import FakeTensorMode

    stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
    log = logging.getLogger("torch._subclasses.fake_tensor")  # a shape that does not fit fills the terminal otherwise
    stack.callback(setattr, log, "disabled", log.disabled)
    log.disabled = True
    return (torch.empty(given.shape or (), device=place.device),)


def _kind_words(output: Any) -> str:
    return "None" if output is None else f"{type(output).__name__} with no tensor in it"
