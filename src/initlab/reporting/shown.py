"""`Shown`: how every result shows itself, once: print, notebook, figure, data frame, report file.

A room says what of its result there is to show in its `view.py`, and registers that here from below with `shows`, so
that a result need not know its view. The room's `__init__` imports the view: whoever can name a result (a pickle too)
has it registered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from initlab.errors import unknown
from initlab.reporting.blocks import Figure, HistogramGrid, ImageGrid, Named, Page, ReadyFigure, Section, Table
from initlab.reporting.brief import Brief
from initlab.reporting.figures import to_plotly
from initlab.reporting.html import save_result, table_html
from initlab.reporting.terminal import table_text
from initlab.rng import random_states_kept

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from initlab.reporting.drawn import DrawnFigure

Result = TypeVar("Result")


@dataclass(frozen=True)
class View(Generic[Result]):
    """What of one kind of result to show; what is left out follows from the table.

    Args:
        table: the result in one table; None where the result's own `table()` makes it.
        brief: the result at a glance, from which a terminal's text and a notebook's follow.
        text: for a terminal of so many columns, where that is no brief.
        html: for a notebook, escaped, where that is no brief.
        page: the report.
        data: what JSON holds.
        figure: one figure: a block of `reporting`, or a plotly Figure; None takes the first of the page.
        rows: the records of the data frame.
        index: the field that is the data frame's index.
        fields: the data frame's columns, also where there are no rows.
    """

    table: Callable[[Result], Table] | None = None
    brief: Callable[[Result], Brief] | None = None
    text: Callable[[Result, int], str] | None = None
    html: Callable[[Result], str] | None = None
    page: Callable[[Result], Page] | None = None
    data: Callable[[Result], Any] | None = None
    figure: Callable[[Result], Any] | None = None
    rows: Callable[[Result], Sequence[Mapping[str, Any]]] | None = None
    index: str = ""
    fields: Sequence[str] = ()


_VIEWS: dict[type, View[Any]] = {}
_PLAIN: View[Any] = View()


def shows(kind: type[Result], view: View[Result]) -> None:
    """Register `view` as what a `kind` shows."""
    _VIEWS[kind] = view


class Shown:
    """What every result inherits; a dataclass that does so is declared with `repr=False`."""

    def table(self) -> Table:
        """The result as one table."""
        make = _view(self).table
        if make is None:
            raise NotImplementedError(f"{type(self).__name__} has neither a table of its own nor a view")
        return make(self)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame."""
        # lazy: pandas is heavy, and few want a frame
        import pandas as pd

        view = _view(self)
        rows = _records(self.table()) if view.rows is None else view.rows(self)
        frame = pd.DataFrame(rows, columns=list(view.fields) or None)
        return frame.set_index(view.index) if view.index else frame

    def figures(self) -> tuple[str, ...]:
        """The names of the figures that the report holds, as `figure` takes them.

        A figure without a name of its own is called by its heading in small letters.
        """
        return tuple(_named_figures(page_of(self)))

    @overload
    def figure(self, name: str) -> DrawnFigure: ...
    @overload
    def figure(self, name: None = None) -> DrawnFigure | None: ...
    def figure(self, name: str | None = None) -> DrawnFigure | None:
        """A figure of the report, as a plotly Figure that also saves itself: `.save("x.svg")`, .png or .pdf.

        Args:
            name: one of `figures()`; None for the main one.

        Returns:
            The figure; None where no name is given and the result has none.

        Raises:
            InputError: no figure of that name.
        """
        # lazy: plotly is heavy, and only figures need it
        from initlab.reporting.drawn import DrawnFigure

        if name is not None:
            found = _named_figures(page_of(self))
            if name not in found:
                raise unknown("figure", name, found)
            return DrawnFigure(to_plotly(found[name]))
        shown = self._main_figure()
        return None if shown is None else DrawnFigure(shown)

    def _main_figure(self) -> go.Figure | None:
        make = _view(self).figure
        found = _first_figure(page_of(self)) if make is None else make(self)
        return to_plotly(found) if isinstance(found, Figure) else found

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report: `.html` for people, `.json` for machines.

        Raises:
            InputError: another ending, or a path that cannot be written.
        """
        return save_result(path, lambda: page_of(self), lambda: _data(self))

    def text(self, width: int = 80) -> str:
        """The result for a terminal of `width` columns."""
        view = _view(self)
        with random_states_kept():  # rich draws link ids from Python's global generator when it is first imported
            if view.brief is not None:
                return view.brief(self).text(width)
            return table_text(self.table(), width) if view.text is None else view.text(self, width)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        view = _view(self)
        if view.brief is not None:
            return view.brief(self).html()
        return table_html(self.table()) if view.html is None else view.html(self)


def _view(result: Shown) -> View[Any]:
    return next((_VIEWS[kind] for kind in type(result).__mro__ if kind in _VIEWS), _PLAIN)


def page_of(result: Shown) -> Page:
    """The report of a result."""
    make = _view(result).page
    if make is not None:
        return make(result)
    table = result.table()
    return Page(table.title, "", [Section("Result", [replace(table, title="")])])


def _data(result: Shown) -> Any:
    make = _view(result).data
    if make is not None:
        return make(result)
    table = result.table()
    return {"title": table.title, "rows": _records(table), "note": table.note}


def _records(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def _named_figures(page: Page) -> dict[str, Named]:
    found: dict[str, Named] = {}
    for block in (block for section in page.sections for block in section.blocks):
        if isinstance(block, Figure | HistogramGrid | ImageGrid):
            name = block.name or re.sub(r"[^a-z0-9]+", "-", block.title.lower()).strip("-")
            found[name if name not in found else f"{name}-{len(found)}"] = block
    return found


def _first_figure(page: Page) -> Figure | None:
    blocks = (block for section in page.sections for block in section.blocks)
    return next((b for b in blocks if isinstance(b, Figure) and not isinstance(b, ReadyFigure)), None)
