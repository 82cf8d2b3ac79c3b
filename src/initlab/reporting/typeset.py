"""Formulas in pages: MathML, which browsers set without a script or a font of its own."""

from __future__ import annotations


def typeset(latex: str) -> str:
    """`latex` as MathML; "" where it cannot be set, so that the Unicode form stands instead.

    >>> typeset("")
    ''
    """
    if not latex:
        return ""
    try:
        # lazy: only pages with formulas need it
        from latex2mathml.converter import convert
    except ImportError:
        return ""
    try:
        made: str = convert(latex, display="block")
    except Exception:  # whatever a formula of the user's own makes the converter raise: its Unicode form is shown
        return ""
    return made
