"""The primitives that a report is made of: frozen dataclasses that hold what to show and nothing of how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from initlab.errors import InputError
from initlab.reporting.words import counted

Align: TypeAlias = Literal["left", "right"]
Kind: TypeAlias = Literal["text", "number", "code", "word", "status"]
Level: TypeAlias = Literal["info", "good", "warning", "error"]
Tone: TypeAlias = Literal["neutral", "good", "warning", "error"]
Dash: TypeAlias = Literal["solid", "dash", "dot"]


@dataclass(frozen=True)
class Text:
    """A paragraph; blank lines part paragraphs. `mono` keeps the line breaks and sets it in a fixed-width face."""

    body: str
    mono: bool = False


@dataclass(frozen=True)
class Callout:
    """A finding or remark that stands out. `level` chooses its colour and its word."""

    level: Level
    title: str
    body: str = ""


@dataclass(frozen=True)
class Code:
    """Python that runs as pasted, with a button that copies it; `title` says what for."""

    title: str
    code: str


@dataclass(frozen=True)
class Formula:
    """A formula: typeset on a page, in Unicode on a terminal.

    Args:
        latex: in LaTeX.
        text: the same in Unicode.
    """

    latex: str
    text: str


@dataclass(frozen=True)
class Column:
    """One column of a `Table`.

    Args:
        name: the heading.
        align: "left" or "right".
        kind: "text" wraps, "code" (names, formulas) is set in a fixed-width face and cut in its middle, "word" (a name
            to be typed) is set so too and never cut, nor is "number", and "status" is coloured by its word (healthy,
            slow, untrainable, confirmed, …).
        keep: a narrow terminal drops the columns with the lowest `keep` first, and says so.
    """

    name: str
    align: Align = "left"
    kind: Kind = "text"
    keep: int = 5


@dataclass(frozen=True)
class Table:
    """Rows of cells (str, int, float, bool or None); each row is as long as `columns`.

    Of more than `unfolded` rows, blocks of a model that repeat are shown as one; with `steps` also those whose numbers
    are not neighbours, where no trend over depth is to be read.

    >>> Table("Schemes", (Column("name"), Column("std", "right", "number")), (("he_normal", 0.141421356),))
    Table('Schemes', 2 columns, 1 row)
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    unfolded: int = 30
    steps: bool = False

    def __post_init__(self) -> None:
        columns = tuple(c if isinstance(c, Column) else Column(str(c)) for c in self.columns)
        rows = tuple(tuple(row) for row in self.rows)
        for number, row in enumerate(rows):
            if len(row) != len(columns):
                raise InputError(f"table {self.title!r}: row {number} has {len(row)} cells for {len(columns)} columns")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "rows", rows)

    def __repr__(self) -> str:
        count = len(self.rows)
        return f"Table({self.title!r}, {len(self.columns)} columns, {counted(count, 'row')})"


@dataclass(frozen=True)
class Series:
    """One line, set of points, or set of bars.

    Args:
        name: shown in the legend.
        x: positions, or words for categories.
        y: values; None and non-finite values leave a gap.
        low, high: a band about the line, or the ends of error bars; empty for none.
        dash: "solid", "dash" or "dot".
        labels: one hover label a point, such as the layer's name.
        tone: "neutral" takes the next colour of the palette; else the colour of its meaning.
    """

    name: str
    x: Sequence[Any]
    y: Sequence[Any]
    low: Sequence[Any] = ()
    high: Sequence[Any] = ()
    dash: Dash = "solid"
    labels: Sequence[str] = ()
    tone: Tone = "neutral"

    def __post_init__(self) -> None:
        for field in ("x", "y", "low", "high"):
            object.__setattr__(self, field, _plain(getattr(self, field)))
        object.__setattr__(self, "labels", tuple(str(label) for label in self.labels))
        for field in ("y", "low", "high", "labels"):
            values = getattr(self, field)
            if len(values) not in ((len(self.x),) if field == "y" else (0, len(self.x))):
                raise InputError(f"series {self.name!r}: {field} has {len(values)} values for {len(self.x)} in x")


@dataclass(frozen=True)
class LineFigure:
    """Lines over a number. On a log axis, values that are not positive leave a gap."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False
    note: str = ""
    markers: bool = False
    name: str = ""


@dataclass(frozen=True)
class ScatterFigure:
    """Points over two numbers."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False
    note: str = ""
    name: str = ""


@dataclass(frozen=True)
class BarFigure:
    """Bars over categories (the words in each series' x); several series stand side by side."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log_y: bool = False
    note: str = ""
    name: str = ""


@dataclass(frozen=True)
class HeatmapFigure:
    """A colour for each cell of z, of shape (len(y), len(x)); `series` are lines drawn over it."""

    title: str
    x_label: str
    y_label: str
    x: Sequence[Any]
    y: Sequence[Any]
    z: Sequence[Sequence[Any]]
    z_label: str = ""
    log_x: bool = False
    log_y: bool = False
    log_z: bool = False
    series: Sequence[Series] = ()
    note: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", _plain(self.x))
        object.__setattr__(self, "y", _plain(self.y))
        object.__setattr__(self, "z", tuple(_plain(row) for row in self.z))
        if len(self.z) != len(self.y) or any(len(row) != len(self.x) for row in self.z):
            raise InputError(f"heatmap {self.title!r}: z must have {len(self.y)} rows of {len(self.x)} values")


@dataclass(frozen=True)
class Panel:
    """One small histogram: `counts` in the bins between `edges` (one more edge than counts)."""

    title: str
    edges: Sequence[Any]
    counts: Sequence[Any]
    note: str = ""
    tone: Tone = "neutral"

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", _plain(self.edges))
        object.__setattr__(self, "counts", _plain(self.counts))
        if self.counts and len(self.edges) != len(self.counts) + 1:
            raise InputError(f"panel {self.title!r}: {len(self.counts)} counts need {len(self.counts) + 1} edges")


@dataclass(frozen=True)
class HistogramGrid:
    """Small histograms side by side, such as one a layer; `columns` is the most that stand in one row."""

    title: str
    panels: Sequence[Panel]
    columns: int = 5
    note: str = ""
    name: str = ""


@dataclass(frozen=True)
class ImageGrid:
    """Small grey images, such as filters or reconstructions: each a (height, width) array of finite numbers.

    Every image is scaled by its own range; with `shared_scale` all by one, so that their strength can be compared.
    """

    title: str
    images: Sequence[Any]
    captions: Sequence[str] = ()
    columns: int = 10
    note: str = ""
    shared_scale: bool = False
    name: str = ""


@dataclass(frozen=True)
class ReadyFigure:
    """A figure that another library drew with plotly.

    Args:
        title: its heading; the figure's own is not shown.
        data, layout: as plotly's JSON schema has them, in plain lists and mappings. Colours are kept; the template is
            replaced by the page's.
        note: a line below.
        name: what `Shown.figure` calls it; "" for one called by its title.
    """

    title: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    note: str = ""
    name: str = ""


Named: TypeAlias = "LineFigure | ScatterFigure | BarFigure | HeatmapFigure | ReadyFigure | HistogramGrid | ImageGrid"
Figure: TypeAlias = LineFigure | ScatterFigure | BarFigure | HeatmapFigure | ReadyFigure
Block: TypeAlias = Text | Callout | Code | Formula | Table | Figure | HistogramGrid | ImageGrid


@dataclass(frozen=True)
class Section:
    """Blocks under one heading."""

    title: str
    blocks: Sequence[Block]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report. `facts` are (name, value) pairs for the line under the title: model, seed, versions."""

    title: str
    lead: str
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str]] = ()


def _plain(values: Iterable[Any]) -> tuple[Any, ...]:
    """`values` (a sequence, numpy array or tensor) as a tuple of Python scalars."""
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return tuple(v.item() if hasattr(v, "item") else v for v in listed)
