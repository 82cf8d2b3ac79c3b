"""Reports as one HTML file: jinja2 with autoescape, plotly.js once inside the page, and nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initlab.errors import unknown
from initlab.reporting.blocks import (
    Block,
    Callout,
    Code,
    Column,
    Figure,
    Formula,
    HistogramGrid,
    ImageGrid,
    Page,
    Panel,
    Section,
    Table,
    Text,
)
from initlab.reporting.figures import plotly_dict
from initlab.reporting.files import atomic_write, write_json
from initlab.reporting.folding import folded
from initlab.reporting.korean import FIGURE, READ, dictionary
from initlab.reporting.layout import numeric
from initlab.reporting.palette import dark_map
from initlab.reporting.pictures import draw_histogram, image_sources, pick_panels
from initlab.reporting.status import tone_of
from initlab.reporting.typeset import typeset
from initlab.reporting.words import cell_text, clean, clean_lines, shorten

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_ROWS = 1500
NAME = 22  # letters of a panel's name: what its narrowest has room for


def to_html(page: Page) -> str:
    """`page` as one HTML document that needs no network and shows every name as text.

    A button puts the page into Korean and back. plotly.js is embedded once, and only when a figure needs it. A content
    security policy forbids every request and every script but the page's own.
    """
    sections = [_section(section, index) for index, section in enumerate(page.sections)]
    kinds = {block["kind"] for section in sections for block in section["blocks"]}
    scripts = [_asset("language.js")]
    scripts += [_plotly_js(), _asset("narrow.js"), _asset("page.js")] if "figure" in kinds else []
    scripts += [_asset("copy.js")] if "code" in kinds else []
    title = clean(page.title, 200)
    facts = [(clean(name, 80), clean(value, 300)) for name, value in page.facts]
    body = _rendered("body.html.j2", title=title, lead=_paragraphs(page.lead), facts=facts, sections=sections)
    return _rendered(
        "page.html.j2",
        title=title,
        body=body,
        scripts=scripts,
        policy=content_policy(scripts),
        style=page_style(),
        dark=script_json(dark_map()),
        korean=script_json({"words": dictionary(body), "attributes": READ, "figure": FIGURE}),
    )


def save_page(page: Page, path: str | os.PathLike[str]) -> Path:
    """`to_html(page)` written to `path` through a temporary file and a rename.

    Raises:
        InputError: `path` is a directory, a symbolic link, read-only, or in no folder that exists.
    """
    return atomic_write(path, to_html(page))


def save_result(path: str | os.PathLike[str], page: Callable[[], Page], data: Callable[[], Any]) -> Path:
    """What every result's `.save(path)` does: `.html` for people, `.json` for machines.

    Args:
        path: where; its ending chooses.
        page: makes the report's page.
        data: makes what the JSON holds.

    Raises:
        InputError: another ending, or a path that cannot be written.
    """
    ending = Path(path).suffix.lower()
    if ending in (".html", ".htm"):
        return save_page(page(), path)
    if ending == ".json":
        return write_json(data(), path)
    raise unknown("report ending", ending, [".html", ".json"], f"path {os.fspath(path)!r}")


def table_html(table: Table) -> str:
    """`table` as an HTML fragment for a notebook: what `_repr_html_` returns. Every cell is escaped."""
    return block_html(table)


def block_html(block: Block) -> str:
    """One block as an HTML fragment with its own style; figures, which need a script, only as their title and note."""
    return _rendered("fragment.html.j2", block=_block(block, 0), style=page_style())


def _section(section: Section, index: int) -> dict[str, Any]:
    return {
        "id": f"s{index + 1}",
        "title": clean(section.title, 200),
        "lead": _paragraphs(section.lead),
        "blocks": [_block(block, 1000 * index + i) for i, block in enumerate(section.blocks)],
    }


def _block(block: Block, number: int) -> dict[str, Any]:
    match block:
        case Text():
            body = [clean_lines(block.body)] if block.mono else _paragraphs(block.body)
            return {"kind": "mono" if block.mono else "text", "paragraphs": body}
        case Callout():
            return {
                "kind": "callout",
                "level": block.level,
                "title": clean(block.title, 300),
                "paragraphs": _paragraphs(block.body),
            }
        case Code():
            title = clean(block.title, 200)
            return {"kind": "code", "id": f"c{number}", "title": title, "code": clean_lines(block.code)}
        case Formula():
            return {"kind": "formula", "mathml": typeset(block.latex), "text": clean(block.text, 1000)}
        case Table():
            short = folded(block)
            return _table(short) | ({} if short is block else {"whole": _table(replace(block, title="", note=""))})
        case HistogramGrid():
            return _histograms(block)
        case ImageGrid():
            images = image_sources(block)
            shared = {"columns": block.columns, "images": images, "note": clean(block.note, 1000)}
            return {"kind": "images", "title": clean(block.title, 200)} | shared
        case _:
            return _figure(block, number)


def _figure(figure: Figure, number: int) -> dict[str, Any]:
    return {
        "kind": "figure",
        "id": f"f{number}",
        "title": clean(figure.title, 200),
        "note": clean(figure.note, 1000),
        "data": script_json(plotly_dict(figure, titled=False)),
    }


def _table(table: Table) -> dict[str, Any]:
    rows, left_out = _pick_rows(table)
    note = clean(table.note, 2000)
    if left_out:
        remark = f"{left_out:,} of {len(table.rows):,} rows are left out here; the JSON file has them all."
        note = f"{note} {remark}".strip()
    heads = [(clean(c.name, 100), "num" if numeric(c) else "") for c in table.columns]
    body = [[_cell(c, value) for c, value in zip(table.columns, row, strict=True)] for row in rows]
    last = {row[-1]["class"] for row in body if row and row[-1]["text"]}
    told = len(heads) > 2 and ("long" in last or (len(heads) > 4 and "whole" in last))
    return {"kind": "table", "title": clean(table.title, 200), "heads": heads, "rows": body, "note": note, "told": told}


def _cell(column: Column, value: Any) -> dict[str, str]:
    text = cell_text(value)
    if column.kind == "status":
        return {"text": text, "class": f"status {tone_of(text)}"}
    if numeric(column):
        return {"text": text, "class": "num"}
    kinds = ["code"] if column.kind in ("code", "word") else []
    room = "whole" if len(text) <= (32 if kinds else 24) else "long"
    return {"text": text, "class": " ".join([*kinds, room])}


def _pick_rows(table: Table) -> tuple[Sequence[Sequence[Any]], int]:
    """All rows, or of very many the head, the tail and the rows whose status is a warning or an error."""
    if len(table.rows) <= MAX_ROWS:
        return table.rows, 0
    status = [i for i, column in enumerate(table.columns) if column.kind == "status"]
    kept = {*range(MAX_ROWS // 2), *range(len(table.rows) - MAX_ROWS // 6, len(table.rows))}
    for index, row in enumerate(table.rows):
        if len(kept) >= MAX_ROWS:
            break
        if any(tone_of(row[i]) in ("warning", "error") for i in status):
            kept.add(index)
    return [table.rows[i] for i in sorted(kept)], len(table.rows) - len(kept)


def _histograms(grid: HistogramGrid) -> dict[str, Any]:
    panels, left_out = pick_panels(grid.panels)
    note = clean(grid.note, 2000)
    if left_out:
        note = f"{note} {left_out:,} of {len(grid.panels):,} panels are left out here.".strip()
    shown = [_panel(panel) for panel in panels]
    columns = max(1, min(grid.columns, 8))
    return {"kind": "histograms", "title": clean(grid.title, 200), "panels": shown, "columns": columns, "note": note}


def _panel(panel: Panel) -> dict[str, Any]:
    notes = [clean(panel.note, 200)] if panel.note else []
    drawing = draw_histogram(panel)
    if drawing.cut is not None:
        notes.append(f"{drawing.share:.0%} in the cut bar")
    title = clean(panel.title, 120)
    return {
        "title": title,
        "name": shorten(title, NAME),
        "note": ", ".join(notes),
        "tone": panel.tone,
        "drawing": drawing,
    }


def _paragraphs(text: str) -> list[str]:
    return [clean_lines(part.strip()) for part in text.split("\n\n") if part.strip()]


def page_style() -> str:
    """The style that every page shares, for elements within `.initlab`."""
    return _asset("page.css")


def script_json(data: Any) -> str:
    """JSON that can stand inside a script element: no `<`, `>`, `&` or line separators."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def content_policy(scripts: Sequence[str]) -> str:
    """What a page of these scripts may do: run them and nothing else, and ask for nothing."""
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


def _rendered(template: str, **parts: Any) -> str:
    return _environment().get_template(template).render(**parts)


@cache
def _plotly_js() -> str:
    # lazy: plotly is heavy, and only figures need it
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    # lazy: only a page needs jinja2
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
