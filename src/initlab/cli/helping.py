"""A command's page of help: its example runs as pasted, however narrow the terminal is."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

_EXAMPLE = re.compile(r"^Example: (.+)$", re.MULTILINE)


class Command(TyperCommand):
    """A command whose help breaks the line `Example: …` as a shell takes it, by a backslash at its end."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does, and its example."""
        found = _EXAMPLE.search(self.help or "")
        if found is None:
            return super().format_help_text(ctx, formatter)
        with_example, self.help = self.help, (self.help or "")[: found.start()].rstrip()
        try:
            super().format_help_text(ctx, formatter)
        finally:
            self.help = with_example
        formatter.write_paragraph()
        with formatter.indentation():
            indent = " " * formatter.current_indent
            for line in example_lines(found[1], formatter.width - formatter.current_indent):
                formatter.write(f"{indent}{line}\n")
        return None


def example_lines(command: str, width: int) -> list[str]:
    r"""`Example: command` in lines of at most `width`, broken before options; a longer option has a line of its own.

    >>> print("\n".join(example_lines("initlab fit m:f --method lsuv --data digits", 40)))
    Example:
      initlab fit m:f --method lsuv \
        --data digits
    """
    whole = f"Example: {command}"
    if len(whole) <= width:
        return [whole]
    first, *options = re.split(r" (?=--)", command)
    lines = [f"  {first}"]
    for option in options:
        joined = f"{lines[-1]} {option}"
        if len(joined) + len(" \\") <= width:
            lines[-1] = joined
        else:
            lines[-1] += " \\"
            lines.append(f"    {option}")
    return ["Example:", *lines]
