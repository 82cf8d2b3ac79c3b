"""The commands put together, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import typer

from initlab.cli import (
    audit,
    compare,
    demo,
    fit,
    helping,
    init,
    inspect,
    interruption,
    output,
    plan,
    playground,
    recipes,
    reproduce,
    schemes,
    search,
)
from initlab.cli.models import UserCodeError
from initlab.errors import InitlabError, InterruptedInitError
from initlab.reporting.words import clean, clean_lines

OK, USER_CODE, USAGE, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 130, 141
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.command,
    "schemes": schemes.command,
    "plan": plan.command,
    "recipes": recipes.command,
    "init": init.command,
    "fit": fit.command,
    "audit": audit.command,
    "inspect": inspect.command,
    "compare": compare.command,
    "search": search.command,
    "reproduce": reproduce.command,
    "playground": playground.command,
}

app = typer.Typer(
    name="initlab",
    help="Gets a neural network right before its first training step.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the user's own code failed, 2 bad input, 130 interrupted.

    Args:
        arguments: without the program's name; default those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    ending = _Ending()
    if arguments is None:
        atexit.register(ending)
    ending.code = _run([word for word in given if word != "--debug"], debug)
    sys.exit(ending.code)


def _run(arguments: list[str], debug: bool) -> int:
    output.beside()
    try:
        with _importable_folder():
            code = app(args=arguments, prog_name="initlab", standalone_mode=False)
        if code == INTERRUPTED:  # while typer read the arguments
            return _interrupted(KeyboardInterrupt(), arguments)
        _flush()
        return code if isinstance(code, int) else OK
    except _Stopped as stop:
        return _interrupted(stop.cause, arguments)
    except InterruptedInitError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):
            return _refused(error, debug)
        return _interrupted(KeyboardInterrupt(), arguments)
    except _ClosedPipe:
        return _closed_pipe()
    except UserCodeError as error:
        _say(error.traceback.rstrip("\n"), whole=True)
        _say(f"initlab: {error}")
        return USER_CODE
    except InitlabError as error:
        return _refused(error, debug)
    except Exception as error:
        # typer raises click's usage errors, from its own copy of click or from the package: told by their method.
        if hasattr(error, "format_message") and not debug:
            path = " ".join(["initlab", *(word for word in arguments[:1] if word in COMMANDS)])
            _say(f"initlab: {error.format_message()} ({path} --help)")
            return USAGE
        raise


class _Stopped(Exception):
    """Ctrl-C, in a form that typer leaves alone."""

    def __init__(self, cause: KeyboardInterrupt) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _ClosedPipe(Exception):
    """A closed stdout, in a form that typer leaves alone."""


def _guarded(function: Callable[..., None]) -> Callable[..., None]:
    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt as stop:
            raise _Stopped(stop) from None
        except OSError as error:
            if _nobody_reads(error):
                raise _ClosedPipe from None
            raise

    return guarded


def _nobody_reads(error: OSError) -> bool:
    """Whether stdout is closed at its other end: EPIPE, on Windows EINVAL, which other calls give too."""
    if isinstance(error, BrokenPipeError):
        return True
    if error.errno != errno.EINVAL or error.filename is not None:
        return False
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


@_guarded
def _flush() -> None:
    sys.stdout.flush()


def _refused(error: InitlabError, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    else:
        _say("initlab: " + clean(error, 2000))
    return USAGE


def _interrupted(stop: KeyboardInterrupt, arguments: Sequence[str]) -> int:
    _say(f"initlab: {interruption.line(stop, arguments)}")
    return INTERRUPTED


class _Ending:
    """Registered before the commands load theirs, so the last thing to run at exit: an interrupted process ends here.

    What follows would take torch apart, which takes up to a second, and end by SIGINT in place of the exit code where
    the interrupt fell into text being exec'd (a dataclass on import): CPython holds that for unhandled although it was
    caught.
    """

    code = OK

    def __call__(self) -> None:
        if self.code != INTERRUPTED:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(self.code)


def _closed_pipe() -> int:
    """Nobody reads any more: point stdout at nothing, so that Python's own flush at exit stays quiet too."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED_PIPE


def _say(line: str, *, whole: bool = False) -> None:
    shown = clean_lines(line) if whole else clean(line, 4000)
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError, ValueError):
        print(shown.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


@contextlib.contextmanager
def _importable_folder() -> Any:
    """The current folder on the import path, as `python -m` has it, so that MODEL may lie beside the user."""
    here = os.getcwd()
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version and exit.")
) -> None:
    if version:
        print(importlib.metadata.version("initlab"))
        raise typer.Exit
    if context.invoked_subcommand is None:  # typer's own way raises the page as an error, to be one line
        print(context.get_help())


for _name, _function in COMMANDS.items():
    app.command(_name, cls=helping.Command)(_guarded(_function))
