"""MODEL on the command line: `package.module:factory` -> a function that builds the model."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import re
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initlab.cli.output import stdout_kept
from initlab.errors import InitlabError, InputError, nearest, seed_number, unknown
from initlab.rng import random_states_kept, seed_random_states

if TYPE_CHECKING:
    from torch import nn

_FORM = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_MISSING = object()
_EXPECTED = "MODEL must be package.module:factory, such as mypackage.nets:build"


class UserCodeError(InitlabError):
    """The user's own module or factory raised; `traceback` holds its own frames and no one else's."""

    def __init__(self, message: str, error: BaseException) -> None:
        super().__init__(message)
        self.traceback = _own_frames(error)


def built(text: str, seed: int) -> nn.Module:
    """One model from `builder(text)`, its own random start a function of `seed`, so that a command repeats itself."""
    root = seed_number(seed, "--seed")
    importlib.import_module("torch")  # so that its generators are there to be seeded
    with random_states_kept(root):  # for what the user's module makes on import
        build = builder(text)
        seed_random_states(root)
        return build()


def builder(text: str) -> Callable[[], nn.Module]:
    """The function that MODEL names, checked by one call.

    A factory, a module class without required arguments, or a ready module (of which each call gives a copy) will do.

    Raises:
        InputError: a form that is not `package.module:factory`, no such module or attribute, a factory that needs
            arguments or returns no `nn.Module`.
        UserCodeError: the module or the factory raised.
    """
    # lazy: PyTorch takes a second that a usage error and `initlab schemes` do without
    from torch import nn

    from initlab.guest import check_module  # lazy: as above

    module_name, path = _parts(text)
    _find(module_name)
    module = _call(partial(importlib.import_module, module_name), f"importing {module_name} failed")
    target = _attribute(module, module_name, path)
    if isinstance(target, nn.Module):
        return lambda: copy.deepcopy(target)
    if not callable(target):
        raise InputError(f"{text} is a {type(target).__name__}; it must be a function that returns an nn.Module")
    _check_arguments(text, target)

    def build() -> nn.Module:
        return check_module(_call(target, f"{text} failed"), f"{text} must return an nn.Module")

    return build


def _parts(text: str) -> tuple[str, str]:
    a_file = re.fullmatch(r"[\w./\\-]+\.py(:\w+)?", text)
    if a_file or not _FORM.fullmatch(text):
        hint = ""
        if a_file:
            stem, _, factory = text.removesuffix(".py").partition(".py:")
            dotted = re.sub(r"[/\\]+", ".", stem).strip(".")
            hint = f"; for a file, {dotted}:{factory or 'factory'}"
        raise InputError(f"{_EXPECTED}; got {text[:200]!r}{hint}")
    module_name, _, path = text.partition(":")
    return module_name, path


def _find(name: str) -> None:
    """Say that a module is missing before anything runs; an ImportError later is the user's own."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        prefix = ".".join(parts[:end])
        if not _call(partial(_is_there, prefix), f"importing {prefix} failed"):
            here = sorted(path.stem for path in Path.cwd().glob("*.py"))
            close = nearest(prefix, here) if end == 1 else []
            hint = f"did you mean {close[0]!r}?" if close else _EXPECTED
            raise InputError(f"there is no module {prefix!r} in {Path.cwd()} or on the import path; {hint}")
        if end < len(parts):
            _call(partial(importlib.import_module, prefix), f"importing {prefix} failed")


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _attribute(module: Any, module_name: str, path: str) -> Any:
    target = module
    for part in path.split("."):
        owner = target
        target = _call(partial(getattr, owner, part, _MISSING), f"looking for {part} in {module_name} failed")
        if target is _MISSING:
            names = [name for name in vars(owner) if not name.startswith("_")] if hasattr(owner, "__dict__") else []
            raise unknown(f"attribute of {module_name}", part, names, _EXPECTED)
    return target


def _check_arguments(text: str, target: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return
    try:
        signature.bind()
    except TypeError:
        needed = [
            p.name
            for p in signature.parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        raise InputError(
            f"{text} needs the argument{'s' if len(needed) > 1 else ''} {', '.join(needed)}; "
            "write a function without arguments that returns the model"
        ) from None


def _call(function: Callable[[], Any], what: str) -> Any:
    try:
        with stdout_kept():
            return function()
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        raise InputError(f"{what}: it called sys.exit({error.code!r}); it must return instead") from None
    except BaseException as error:
        raise UserCodeError(f"{what}: {type(error).__name__}", error) from None


def _own_frames(error: BaseException) -> str:
    """The traceback from the user's first frame on: neither this file's nor the import machinery's stand above it."""
    report = traceback.TracebackException.from_exception(error)
    for part in (report, report.__cause__, report.__context__):
        if part is not None:
            frames = [frame for frame in part.stack if not _foreign(frame.filename)]
            part.stack = traceback.StackSummary.from_list(frames)
    return "".join(report.format())


def _foreign(filename: str) -> bool:
    return filename == __file__ or filename.startswith("<frozen importlib") or "importlib/__init__" in filename
