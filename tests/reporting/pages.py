"""Sample pages: names that attack, and a page with every block on it."""

from __future__ import annotations

from initlab.reporting import (
    BarFigure,
    Callout,
    Column,
    HeatmapFigure,
    HistogramGrid,
    ImageGrid,
    LineFigure,
    Page,
    Panel,
    ReadyFigure,
    ScatterFigure,
    Section,
    Series,
    Table,
    Text,
)

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    '"><svg onload=alert(3)>',
    "{{ 7*7 }}",
    "[/]",
    "layers[conv]",
    "[bold red]x[/bold red]",
    "\x1b[31mred\x1b[0m",
    "two\nlines",
    "right\u202eleft",
    "a\u200bb",
    "<b>bold</b><br><a href='https://example.com'>x</a>",
    "%{x} $x^2$ &lt;",
    "lone \ud800 surrogate",
    "n" * 100_000,
)


def page_with(names: tuple[str, ...] = ("fc1", "fc2", "fc3")) -> Page:
    """Every kind of block, with `names` in every place that a name can reach."""
    count = len(names)
    y = [10.0**-i for i in range(count)]
    figures = [
        LineFigure(names[0], names[1], names[2], [Series(n, range(count), y, labels=names) for n in names], log_y=True),
        LineFigure("band", "x", "y", [Series(names[0], range(count), y, [v / 2 for v in y], [v * 2 for v in y])]),
        ScatterFigure(names[0], "x", "y", [Series(names[0], range(count), y, labels=names)]),
        BarFigure(names[0], "x", "y", [Series(names[0], names, y)], note=names[0]),
        HeatmapFigure(names[0], "x", "y", names, ("a", "b"), [y, y], z_label=names[0], log_z=True),
        ReadyFigure(names[0], [{"type": "bar", "x": list(names), "y": y, "name": names[1]}], {}, note=names[0]),
    ]
    grids = [
        HistogramGrid(names[0], [Panel(n, (-1, 0, 1), (1, 2), note=n, tone="error") for n in names], note=names[0]),
        ImageGrid(names[0], [[[0, 1], [2, 3]]] * count, captions=names),
    ]
    columns = (
        Column(names[0], kind="code"),
        Column("note"),
        Column("std", "right", "number"),
        Column("v", kind="status"),
    )
    table = Table(names[0], columns, [(n, n, 0.5, "slow") for n in names], note=names[0])
    words = [Text(names[0]), Text(names[1], mono=True), *(Callout("error", n, n) for n in names), table]
    return Page(
        names[0],
        names[1],
        [Section(names[0], words, names[1]), Section("figures", [*figures, *grids])],
        ((names[0], names[1]),),
    )
