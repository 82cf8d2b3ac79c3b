"""What of the scaling checks to show: a table and a figure each."""

from __future__ import annotations

import math

from initlab.reporting import Callout, Column, LineFigure, Page, Section, Series, Table, View, format_number, shows
from initlab.scaling.coordinates import CoordinateCheck, LayerChange
from initlab.scaling.transfer import TransferCheck


def _changes(check: CoordinateCheck) -> Table:
    columns = (
        Column("layer", kind="code", keep=9),
        Column("over", kind="text", keep=5),
        Column("sizes", kind="text", keep=3),
        Column("change", kind="text", keep=4),
        Column("slope", "right", "text", 8),
        Column("flat", kind="text", keep=7),
    )
    swept = [("width", layer) for layer in check.widths] + [("depth", layer) for layer in check.depths]
    rows = [
        (
            layer.name,
            what,
            ", ".join(map(str, layer.sizes)),
            ", ".join(format_number(change) for change in layer.changes),
            f"{layer.slope:+.3f}" + (f" ± {layer.spread:.3f}" if layer.spread else ""),
            "yes" if layer.flat else "no",
        )
        for what, layer in swept
    ]
    return Table(_title(check), columns, rows, check.advice or f"every slope within ±{check.tolerance:g}")


def _title(check: CoordinateCheck) -> str:
    verdict = "flat" if check.flat else "not flat"
    return f"Change of each layer in {check.steps} steps ({check.optimizer}, rule {check.rule}): {verdict}"


def _lines(layers: tuple[LayerChange, ...], what: str) -> LineFigure:
    series = [
        Series(f"{layer.name} ({layer.slope:+.2f})", layer.sizes, layer.changes, dash="solid" if layer.flat else "dash")
        for layer in layers
    ]
    return LineFigure(
        f"Change in {what}", what, "root mean square change", series, log_x=True, log_y=True, markers=True,
        note="dashed: not flat; the slope in brackets",
    )  # fmt: skip


def _check_page(check: CoordinateCheck) -> Page:
    blocks = [_lines(check.widths, "width"), *([_lines(check.depths, "depth")] if check.depths else [])]
    if check.advice:
        blocks.insert(0, Callout("warning", "What to change", check.advice))  # type: ignore[arg-type]
    return Page(_title(check), "", [Section("Change by size", [*blocks, _changes(check)])])


def _rates(check: TransferCheck) -> Table:
    columns = (
        Column("width", "right", "text", 9),
        Column("best rate", "right", "number", 8),
        *(Column(f"loss at {lr:g}", "right", "number", 5) for lr in check.lrs),
    )
    rows = [
        (str(width), best, *(loss if math.isfinite(loss) else "diverged" for loss in losses))
        for width, best, losses in zip(check.widths, check.best, check.losses, strict=True)
    ]
    return Table(_transfer_title(check), columns, rows, f"loss after {check.steps} steps, rule {check.rule}")


def _transfer_title(check: TransferCheck) -> str:
    verdict = "stays" if check.transfers else "moves"
    return f"The best rate {verdict}: within a factor {check.factor:.2f} over widths ({check.optimizer}, {check.rule})"


def _transfer_page(check: TransferCheck) -> Page:
    series = [
        Series(f"width {width}", check.lrs, [loss if math.isfinite(loss) else None for loss in losses])
        for width, losses in zip(check.widths, check.losses, strict=True)
    ]
    figure = LineFigure("Loss by rate", "rate of the base", "loss", series, log_x=True, markers=True)
    return Page(_transfer_title(check), "", [Section("Rates", [figure, _rates(check)])])


shows(CoordinateCheck, View(table=_changes, page=_check_page))
shows(TransferCheck, View(table=_rates, page=_transfer_page))
