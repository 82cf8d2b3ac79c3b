"""Running the user's model: which module is at work, one line where it fails, and the world it runs in."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from initlab.errors import InitlabError, InputError, said
from initlab.guest.check import is_strided
from initlab.guest.eager import as_written
from initlab.guest.inputs import shape_words, tensors_in
from initlab.guest.modules import modules_of
from initlab.guest.tally import count_forward
from initlab.guest.untouched import Guest, untouched
from initlab.sampling import canonical_name


class Follower:
    """Keeps the path of the module whose forward is running while it is entered, and remembers where one failed.

    Args:
        model: the model that runs.

    Attributes:
        stack: (path, type name) of the modules that are running, outermost first.
    """

    def __init__(self, model: nn.Module) -> None:
        self.stack: list[tuple[str, str]] = []
        self._modules = modules_of(model)
        self._running: list[tuple[int, Any]] = []
        self._failed: tuple[BaseException, int, Any] | None = None
        self._handles: list[Any] = []
        self._strangers: list[nn.Module] = []

    def __enter__(self) -> Follower:
        self._handles = [
            register_module_forward_pre_hook(self._enter_module),
            register_module_forward_hook(self._leave_module, always_call=True),
        ]
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._running.clear()
        self.stack.clear()

    def _enter_module(self, module: nn.Module, args: Any) -> None:
        if id(module) in self._modules:
            self._running.append((id(module), args))
            self.stack.append((self._modules[id(module)][0], type(module).__name__))
        elif any(True for _ in module.parameters(recurse=False)):
            self._strangers.append(module)

    def check_made(self, model: nn.Module) -> None:
        """Refuse a model that has made a layer with parameters, and run it, since this follower was made.

        Raises:
            InputError: names the layer.
        """
        if not self._strangers:  # those that no model holds stay strangers
            return
        now = modules_of(model)
        made = [now[id(module)][0] for module in self._strangers if id(module) in now]
        self._strangers.clear()
        if made:
            raise InputError(
                f"{type(model).__name__} makes {made[0]!r} as it runs, and its parameters: run one batch through the "
                "model first"
            )

    def _leave_module(self, module: nn.Module, args: Any, output: Any) -> None:
        if id(module) not in self._modules:
            return
        error = sys.exc_info()[1]
        if error is not None and output is None and (self._failed is None or self._failed[0] is not error):
            self._failed = (error, id(module), args)
        while self._running:
            key, _ = self._running.pop()
            self.stack.pop()
            if key == id(module):
                break

    def failure(self, error: BaseException, inputs: Any) -> str:
        """One line: which module failed, on what shapes, and why.

        Args:
            error: what the forward pass raised.
            inputs: what the model was called with.
        """
        key, args = self._running[-1] if self._running else (id(None), None)
        if self._failed is not None and self._failed[0] is error:
            _, key, args = self._failed
        path, module = self._modules.get(key, ("", None))
        where = f"module {canonical_name(path)!r}" if path else "the model itself"
        own = "" if module is None else f" ({_own_words(module)})"
        arrived = _shapes(args)
        got = f", which got {arrived}," if arrived else ""
        line = f"the forward pass failed in {where}{own}{got} on inputs {_shapes(inputs)}: {said(error)}"
        return f"{line}{_right(module, args, error)}{self._spoilt()}"

    def _spoilt(self) -> str:
        """The first parameter that holds nan or inf: what checks its own numbers, as distributions do, fails of it."""
        for path, module in self._modules.values():
            for name, value in module._parameters.items():
                if type(value) is nn.Parameter and _is_spoilt(value):
                    return f"; {canonical_name(f'{path}.{name}' if path else name)} holds nan or inf"
        return ""


def _is_spoilt(value: nn.Parameter) -> bool:
    readable = value.is_floating_point() and not value.is_meta and is_strided(value)
    return readable and not bool(value.detach().isfinite().all())


def run(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    argument: str = "inputs",
    follower: Follower | None = None,
) -> Any:
    """What the model returns.

    Args:
        model: any module.
        args: positional arguments of its call.
        kwargs: keyword arguments.
        argument: what the user calls them.
        follower: the caller's own, already entered; None takes one for this call.

    Raises:
        InputError: the forward pass raised or exited: names the module that failed and the shapes it got.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.Linear(5, 2))
    >>> try:
    ...     run(net, (torch.zeros(3, 4),), {})
    ... except InputError as error:
    ...     print(str(error).partition(" RuntimeError")[0])
    inputs: the forward pass failed in module '1' (Linear(in_features=5, out_features=2, bias=True)), which got \
(3, 8) cpu, on inputs (3, 4) cpu:
    """
    if follower is None:
        with as_written(), Follower(model) as own:
            return run(model, args, kwargs, argument, own)
    count_forward()
    try:
        output = model(*args, **kwargs)
        follower.check_made(model)
        return output
    except InitlabError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{argument}: {follower.failure(error, (args, kwargs))}") from error


@contextlib.contextmanager
def hosted(
    model: nn.Module, *, gradients: bool = False, quiet: bool = False, seed: int | None = None
) -> Iterator[Guest]:
    """The model may run inside: `untouched`, compiled parts run as written, and what it prints leaves stdout alone.

    Args:
        model: any module.
        gradients: whether autograd records, whatever the mode outside.
        quiet: whether what it prints is dropped; else it goes to standard error.
        seed: as for `untouched`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(autograd_modes(gradients=gradients))
        guest = stack.enter_context(untouched(model, seed=seed))
        for each in (with_room(quiet=quiet), as_written()):
            stack.enter_context(each)
        yield guest


@contextlib.contextmanager
def autograd_modes(*, gradients: bool) -> Iterator[None]:
    """Autograd records or not, whatever the mode outside; an autocast that is entered outside casts weights each time.

    It keeps its casts for as long as it is entered, and weights that have moved since, or that others stand in for,
    would still be the first ones.
    """
    cached = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        with torch.inference_mode(False) if gradients else contextlib.nullcontext(), torch.set_grad_enabled(gradients):
            yield
    finally:
        torch.set_autocast_cache_enabled(cached)


@contextlib.contextmanager
def own_precision() -> Iterator[None]:
    """Products on a CPU have the dtype of what is multiplied, whatever autocast is entered outside."""
    with torch.autocast("cpu", enabled=False):
        yield


@contextlib.contextmanager
def with_room(*, quiet: bool = False) -> Iterator[None]:
    """What a model prints leaves stdout alone, and it may recurse as deeply as it does bare.

    Hooks put one more frame under every module.

    Args:
        quiet: whether what it prints is dropped; else it goes to standard error.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * limit)
    try:
        with contextlib.redirect_stdout(io.StringIO() if quiet else sys.stderr):
            yield
    finally:
        sys.setrecursionlimit(limit)


def _right(module: nn.Module | None, args: Any, error: BaseException) -> str:
    """What the module would have read, where it got numbers of another kind; "" where that is not known."""
    tensor = next(iter(tensors_in(args)), None)
    if module is None or tensor is None:
        return ""
    if not isinstance(module, nn.Embedding):
        own = {parameter.dtype for parameter in module.parameters(recurse=False)}
        if len(own) != 1 or tensor.dtype in own or not (dtype := own.pop()).is_floating_point:
            return ""
        return f"; it holds {dtype} and got {tensor.dtype}: .to({dtype}) makes one of the other"
    count = module.num_embeddings
    if tensor.is_floating_point():
        shape = "x".join(map(str, tensor.shape[1:])) or "1"
        return f"; an embedding reads whole numbers below {count}, such as torch.randint (--input {shape}:{count})"
    if isinstance(error, IndexError):
        return f"; it has the rows 0 to {count - 1}, and was asked for {int(tensor.min())} to {int(tensor.max())}"
    return ""


def _own_words(module: nn.Module) -> str:
    try:
        words = module.extra_repr()
    except Exception:  # the user's own words of a module that has just failed
        words = ""
    return " ".join(f"{type(module).__name__}({words})".split())[:120]


def _shapes(value: Any) -> str:
    return ", ".join(f"{shape_words(tensor)} {tensor.device.type}" for tensor in list(tensors_in(value))[:4])
