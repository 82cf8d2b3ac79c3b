"""`record`: one forward pass of any model as a `SignalGraph`, leaving the model and the world as they were."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from initlab.errors import InputError
from initlab.graph.eager import as_written
from initlab.graph.signal_graph import SignalGraph
from initlab.graph.tracer import Tracer, modules_of, tensors_in
from initlab.graph.whole import as_one_process
from initlab.rng import random_states_kept, seed_random_states


def record(model: nn.Module, example_inputs: Any) -> SignalGraph:
    """One forward pass of a model, as the operations that it ran.

    The pass runs without gradients in evaluation mode (so that dropout and random depth hide nothing); a model in
    training mode whose parameters are not all used then is run once more in training mode, and the fuller pass counts.
    Training flags, buffers and random states are as before afterwards, whatever happens. What the model prints goes to
    standard error. A sharded model (DTensor parameters) runs as it would on one process, without communication and
    with one number in place of each parameter's values: a layer's weight is in memory whole only while it is applied.

    Args:
        model: any module whose forward runs.
        example_inputs: a tensor; a tuple of positional arguments; a dict of keyword arguments; or a shape, such as
            (8, 3, 32, 32), for which no data is needed: the pass then runs on shapes alone where the model allows it.

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
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    with as_one_process(module for _, module in modules_of(model).values()):
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
) -> None:
    """One forward pass under a torch function mode of the caller's, leaving everything as it was.

    Layers with running statistics use the batch's, as in training; the rest is in evaluation mode, so that nothing is
    dropped. Random numbers that the model draws are the same each time. A sharded model runs as for `record`.

    Args:
        model: any module whose forward runs.
        example_inputs: as for `record`.
        mode: what is entered around the forward.
        names: called before it with id -> name of the tensors that stand for parameters during the pass.

    Raises:
        InputError: the forward raises, with the failing module and the shapes it saw.
    """
    with as_one_process(module for _, module in modules_of(model).values()):
        place = _Place.of(model)
        given = _drawn(place, _example(example_inputs, place))
        follower = _Follower([], place.modules)
        names(place.parameters)
        with _as_a_guest(place, training=False, quiet=True), follower, mode:
            for _, module in place.modules.values():
                module.training = getattr(module, "running_mean", None) is not None
            seed_random_states(0)
            follower.run(place.model, given)


@dataclass(frozen=True)
class _Place:
    """A model with the names of all that is in it."""

    model: nn.Module
    modules: dict[int, tuple[str, nn.Module]]
    parameters: dict[int, str]
    tensors: dict[int, torch.Tensor]
    meta: bool

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
                name = f"{path}.{leaf}" if path else leaf
                if is_lazy(parameter):
                    raise InputError(f"{name!r} is lazy and has no shape yet: run one batch through the model first")
                names.setdefault(id(parameter), name)
                tensors[id(parameter)] = parameter
        return cls(model, modules, names, tensors, any(tensor.is_meta for tensor in tensors.values()))


@dataclass(frozen=True)
class _Given:
    """The arguments of the forward pass, or the shape of its one input."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] | None = None

    def drawn(self, place: _Place) -> _Given:
        """With standard normal numbers where only a shape was given."""
        if self.shape is None:
            return self
        if place.meta:
            return _Given((torch.empty(self.shape, device="meta"),), {})
        numbers = torch.randn(self.shape, generator=torch.Generator(device="cpu").manual_seed(0))
        return _Given((numbers.to(place.device),), {})


def _example(example_inputs: Any, place: _Place) -> _Given:
    if _is_shape(example_inputs):
        return _Given((), {}, tuple(int(size) for size in example_inputs))
    if isinstance(example_inputs, dict):
        given = _Given((), {str(key): value for key, value in example_inputs.items()})
    elif isinstance(example_inputs, tuple | list):
        given = _Given(tuple(example_inputs), {})
    else:
        given = _Given((example_inputs,), {})
    if not any(True for _ in tensors_in((given.args, given.kwargs))):
        raise InputError(
            "example_inputs must be a tensor, a tuple of positional arguments, a dict of keyword arguments or a shape; "
            f"got {type(example_inputs).__name__} with no tensor in it"
        )
    if not place.meta:
        return given
    return _Given(_to_meta(given.args), _to_meta(given.kwargs))


def _is_shape(item: Any) -> bool:
    return (
        isinstance(item, tuple | list)
        and len(item) > 0
        and all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in item)
    )


def _to_meta(item: Any) -> Any:
    if isinstance(item, torch.Tensor):
        return item.to("meta")
    if isinstance(item, dict):
        return {key: _to_meta(part) for key, part in item.items()}
    if isinstance(item, tuple | list):
        return tuple(_to_meta(part) for part in item)
    return item


def _unused(place: _Place, graph: SignalGraph) -> set[str]:
    used = {name for operation in graph.operations for name in operation.parameters}
    return set(place.parameters.values()) - used


# -- running --


def _run(place: _Place, given: _Given, training: bool) -> SignalGraph:
    if given.shape is not None and not place.meta:
        with contextlib.suppress(Exception):  # a forward that looks at numbers cannot run on shapes: it gets numbers
            return _pass(place, given, training, fake=True)
    given = _drawn(place, given)
    try:
        return _pass(place, given, training)
    except InputError as error:
        cause = error.__cause__
        if isinstance(cause, RuntimeError) and "does not require grad" in str(cause):
            return _pass(place, given, training, gradients=True)
        raise


def _drawn(place: _Place, given: _Given) -> _Given:
    try:
        return given.drawn(place)
    except (RuntimeError, TypeError) as error:  # a size beyond 64 bits is a TypeError
        why = str(error).split("\n")[0][:200]
        raise InputError(f"example_inputs of shape {given.shape} do not fit in memory: {why}") from error


def _pass(place: _Place, given: _Given, training: bool, *, fake: bool = False, gradients: bool = False) -> SignalGraph:
    tracer = Tracer(place.parameters, read_constants=not place.meta)
    follower = _Follower(tracer.stack, place.modules)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_as_a_guest(place, training, quiet=training, gradients=gradients))
        if fake:
            given = replace(given, args=_faked(stack, given, place))
        elif place.meta:
            stack.enter_context(torch.device("meta"))
        inputs = tuple(tracer.add_input(tensor) for tensor in tensors_in((given.args, given.kwargs)))
        stack.enter_context(follower)
        stack.enter_context(tracer)
        output = follower.run(place.model, given)
        outputs = tuple(tracer.value_of(tensor) for tensor in _output_tensors(output))
    if not outputs:
        raise InputError(
            f"forward of {type(place.model).__name__} returned {_kind_words(output)}; it must return a tensor, or "
            "tensors in a tuple, list, dict or dataclass"
        )
    return SignalGraph(tuple(tracer.operations), tracer.values, inputs, outputs, training)


@contextlib.contextmanager
def _as_a_guest(place: _Place, training: bool, *, quiet: bool, gradients: bool = False) -> Iterator[None]:
    """The user's model may run inside: everything is put back, and what it prints is dropped or goes to stderr."""
    printed = contextlib.redirect_stdout(io.StringIO() if quiet else sys.stderr)
    with _as_before(place, training), printed, torch.set_grad_enabled(gradients), _room_to_recurse(), as_written():
        yield


@contextlib.contextmanager
def _room_to_recurse() -> Iterator[None]:
    """Hooks put one more frame under every module: a model that runs bare must not fail for that."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


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


def _output_tensors(output: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    if depth > 8:
        return
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, tuple | list):
        for part in output:
            yield from _output_tensors(part, depth + 1)
    elif isinstance(output, dict):
        for part in output.values():
            yield from _output_tensors(part, depth + 1)
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield from _output_tensors(getattr(output, field.name), depth + 1)
    elif hasattr(output, "__dict__") and not isinstance(output, nn.Module):
        for part in vars(output).values():
            yield from _output_tensors(part, depth + 1)


class _Follower:
    """Keeps the path of the module whose forward is running, and remembers where one failed.

    Args:
        stack: (path, type name) of the modules that are running, outermost first; written here.
        modules: id -> (path, module).
    """

    def __init__(self, stack: list[tuple[str, str]], modules: dict[int, tuple[str, nn.Module]]) -> None:
        self.stack = stack
        self.modules = modules
        self.running: list[tuple[int, Any]] = []
        self.failed: tuple[BaseException, int, Any] | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> _Follower:
        self._handles.append(register_module_forward_pre_hook(self._enter_module))
        self._handles.append(register_module_forward_hook(self._leave_module, always_call=True))
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self.running.clear()

    def _enter_module(self, module: nn.Module, args: Any) -> None:
        if id(module) in self.modules:
            self.running.append((id(module), args))
            self.stack.append((self.modules[id(module)][0], type(module).__name__))

    def _leave_module(self, module: nn.Module, args: Any, output: Any) -> None:
        if id(module) not in self.modules:
            return
        error = sys.exc_info()[1]
        if error is not None and output is None and (self.failed is None or self.failed[0] is not error):
            self.failed = (error, id(module), args)
        while self.running:
            key, _ = self.running.pop()
            self.stack.pop()
            if key == id(module):
                break

    def run(self, model: nn.Module, given: _Given) -> Any:
        """What the model returns; whatever it raises is an `InputError`."""
        try:
            return model(*given.args, **given.kwargs)
        except (Exception, SystemExit) as error:
            raise self.failure(error, given) from error

    def failure(self, error: BaseException, given: _Given) -> InputError:
        """One line: which module failed, on what shapes, and why."""
        key, args = self.running[-1] if self.running else (id(None), given.args)
        if self.failed is not None and self.failed[0] is error:
            _, key, args = self.failed
        path, module = self.modules.get(key, ("", None))
        layer = "the model" if module is None else f"{path or 'the model'} ({type(module).__name__})"
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors_in((args, given.kwargs if not args else ())))
        if isinstance(error, SystemExit):
            what = f"called sys.exit({error.code!r})"
        else:
            message = " ".join(str(error).split())
            what = f"raised {type(error).__name__}: {message[:300] or 'no message'}"
        return InputError(
            f"example_inputs do not pass through the model: {layer} {what}; it was given {shapes or 'no tensor'}"
        )


# -- leaving things as they were --


@contextlib.contextmanager
def _as_before(place: _Place, training: bool) -> Iterator[None]:
    flags = [(module, module.training) for _, module in place.modules.values()]
    buffers = [
        (module, name, buffer, None if buffer is None or buffer.is_meta else buffer.detach().clone())
        for _, module in place.modules.values()
        for name, buffer in module._buffers.items()
    ]
    with random_states_kept():
        try:
            for module, _ in flags:
                module.training = training
            yield
        finally:
            for module, flag in flags:
                module.training = flag
            _restore(buffers)


def _restore(buffers: list[tuple[nn.Module, str, torch.Tensor | None, torch.Tensor | None]]) -> None:
    with torch.no_grad():
        for module, name, buffer, copy in buffers:
            module._buffers[name] = buffer
            if buffer is not None and copy is not None and not _same(buffer, copy):
                buffer.copy_(copy)


def _same(buffer: torch.Tensor, copy: torch.Tensor) -> bool:
    return buffer.shape == copy.shape and torch.equal(buffer, copy)
