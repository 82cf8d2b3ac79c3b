"""The colours of reports: each with its light and its dark form, so that figures follow the reader's theme."""

from __future__ import annotations

# (light, dark) in the order in which series take them: neighbours differ in hue and in lightness, also for readers who
# do not tell red from green.
SERIES = (
    ("#2a78d6", "#5a9fee"),
    ("#e06a2b", "#f08c55"),
    ("#159a6c", "#37c493"),
    ("#8a5fd0", "#ab8af0"),
    ("#c99700", "#e6b93c"),
    ("#d6558a", "#ee82ad"),
    ("#4b8794", "#74b8c6"),
    ("#8a6a4f", "#c09c7e"),
)
TONES = {
    "neutral": ("#2a78d6", "#5a9fee"),
    "good": ("#1a8f55", "#3fc07f"),
    "warning": ("#b87a00", "#e6b03c"),
    "error": ("#cf3a34", "#f2746c"),
}
INK = ("#1c2430", "#e8ebf0")
MUTED = ("#5b6675", "#a3adba")
GRID = ("#e5e8ed", "#313947")
# Light to dark for sequential data; its dark-theme form runs the other way, so that low values recede in both.
RAMP = ("#eef5fc", "#c3dcf6", "#8dbcec", "#5597dd", "#2a73c2", "#1a5196", "#123765")
RAMP_DARK = ("#16202c", "#1d3a5c", "#24578d", "#2f78bf", "#549be0", "#8fc0f0", "#d3e7fb")


def series_colour(position: int, tone: str = "neutral") -> str:
    """The light colour of the series at `position`, or of its tone."""
    return TONES[tone][0] if tone != "neutral" else SERIES[position % len(SERIES)][0]


def translucent(colour: str, alpha: float = 0.16) -> str:
    """A `#rrggbb` colour as rgba."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def dark_map() -> dict[str, str]:
    """Every light colour that a figure may hold -> its dark form; the page's script swaps them."""
    pairs = [*SERIES, *TONES.values(), INK, MUTED, GRID, *zip(RAMP, RAMP_DARK, strict=True)]
    solid = dict(pairs)
    return solid | {translucent(light): translucent(dark, 0.22) for light, dark in pairs}
