"""Ctrl-C: one line that says what is kept, and the very command that goes on or starts anew."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


class Interrupted(KeyboardInterrupt):
    """A command was interrupted.

    Args:
        kept: what of its work is kept, and where.
        purpose: what the command below does: "this goes on from there", ….
        more: words to be added to the command as it was given.
    """

    def __init__(self, kept: str, purpose: str, more: Sequence[str] = ()) -> None:
        super().__init__(kept)
        self.kept, self.purpose, self.more = kept, purpose, tuple(more)


def line(stop: BaseException, arguments: Sequence[str]) -> str:
    """What is said when `stop` ends the command that was given as `arguments`.

    >>> line(KeyboardInterrupt(), ["plan", "nets:my net"])
    "interrupted: nothing was written; this starts anew: initlab plan 'nets:my net'"
    """
    if isinstance(stop, Interrupted):
        kept, purpose, more = stop.kept, stop.purpose, stop.more
    else:
        kept, purpose, more = "nothing was written", "this starts anew", ()
    return f"interrupted: {kept}; {purpose}: {command(arguments, more)}"


def command(arguments: Sequence[str], more: Sequence[str] = ()) -> str:
    """The command for a shell, each password in a URL as ***.

    >>> command(["compare", "nets:mlp", "--storage", "postgresql://me:secret@host/x"])
    "initlab compare nets:mlp --storage 'postgresql://me:***@host/x'"
    """
    return shlex.join(["initlab", *map(_no_password, arguments), *more])


def _no_password(argument: str) -> str:
    if "://" not in argument:
        return argument
    # lazy: it brings the database's library, which few commands need
    from initlab.study.location import shown_url

    option, mark, url = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return option + mark + shown_url(url)
