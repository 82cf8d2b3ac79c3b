"""The reason for what a plan does to a tensor: words for people, and a code that is counted and tested."""

from __future__ import annotations

from typing import Any

# Codes of what is kept since its author made it by a rule: nothing of it was drawn.
MADE = frozenset({"pattern", "frequencies", "zero_on_purpose", "special_bias", "special_scale"})


class Reason(str):
    """Why a parameter gets its law, or why it is kept or refused. It is its words, and carries a code beside them.

    Args:
        code: short and stable, in snake_case, such as "frozen", "fed" or "unknown_role". Decisions read the code alone.
        words: what a reader sees.

    >>> reason = Reason("frozen", "kept: frozen (requires_grad is False)")
    >>> print(reason, reason.code)
    kept: frozen (requires_grad is False) frozen
    """

    __slots__ = ("code",)
    code: str

    def __new__(cls, code: str, words: str) -> Reason:
        made = super().__new__(cls, words)
        made.code = code
        return made

    @property
    def words(self) -> str:
        return str(self)

    def but(self, words: str) -> Reason:
        """The same reason in other words."""
        return Reason(self.code, words)

    def __str__(self) -> str:
        return "".join(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Reason, (self.code, str(self))
