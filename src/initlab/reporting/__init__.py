"""SHOWING IT: the page, the table, the figure and the histogram grid. Knows no result, computes nothing."""

from initlab.reporting.blocks import (
    BarFigure,
    Block,
    Callout,
    Code,
    Column,
    Figure,
    Formula,
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
from initlab.reporting.brief import Brief
from initlab.reporting.figures import to_plotly
from initlab.reporting.files import atomic_write, check_output, json_text, made_folder, write_json
from initlab.reporting.folding import folded
from initlab.reporting.histograms import axis_note, on_one_axis
from initlab.reporting.html import block_html, save_page, save_result, table_html, to_html
from initlab.reporting.shown import Shown, View, shows
from initlab.reporting.terminal import print_page, table_text
from initlab.reporting.words import clean, counted, file_name, format_number, wrapped

__all__ = [
    "BarFigure",
    "Block",
    "Brief",
    "Callout",
    "Code",
    "Column",
    "Figure",
    "Formula",
    "HeatmapFigure",
    "HistogramGrid",
    "ImageGrid",
    "LineFigure",
    "Page",
    "Panel",
    "ReadyFigure",
    "ScatterFigure",
    "Section",
    "Series",
    "Shown",
    "Table",
    "Text",
    "View",
    "atomic_write",
    "axis_note",
    "block_html",
    "check_output",
    "clean",
    "counted",
    "file_name",
    "folded",
    "format_number",
    "json_text",
    "made_folder",
    "on_one_axis",
    "print_page",
    "save_page",
    "save_result",
    "shows",
    "table_html",
    "table_text",
    "to_html",
    "to_plotly",
    "wrapped",
    "write_json",
]
