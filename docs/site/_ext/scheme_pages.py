"""One page a scheme in each language, made from the catalogue when the site is built."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sources
import spoken
from generated import escaped, listing, write_pages

from initlab.reporting.blocks import HistogramGrid, Panel
from initlab.reporting.html import block_html
from initlab.schemes import Scheme, get_scheme, list_schemes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
SHAPE = (256, 256)
BINS = 48
WORDS: dict[str, dict[str, str]] = tomllib.loads((HERE / "words.toml").read_text(encoding="utf-8"))
KOREAN: dict[str, dict[str, str]] = tomllib.loads((HERE / "schemes_ko.toml").read_text(encoding="utf-8"))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    return {"parallel_read_safe": True}


def write(site: Path) -> None:
    """The pages of every scheme below `site`, and one that lists them; a page that is as it was is left alone."""
    for language in WORDS:
        pages = {"index": index(language), **{name: page(get_scheme(name), language) for name in list_schemes()}}
        write_pages(site / language / "schemes", pages)


def index(language: str) -> str:
    """The page that lists the schemes."""
    words = WORDS[language]
    rows = {name: prose(get_scheme(name), language)["keeps"] for name in list_schemes()}
    return listing(words["schemes"], words["lead"], (words["scheme"], words["keeps"]), rows)


def page(scheme: Scheme, language: str) -> str:
    """A scheme's page: formula, reason, source, when it is right and when wrong, values and spectrum."""
    words, text = WORDS[language], prose(scheme, language)
    parts = [
        f"# `{scheme.name}`",
        f"$$\n{text['latex']}\n$$",
        f"`{text['formula']}`",
        f"**{words['keeps']}.** {escaped(text['keeps'])}",
        *_facts(scheme, language),
        f"## {words['why']}\n\n{escaped(text['why'])}",
        f"## {words['misuse']}\n\n{escaped(text['misuse'])}",
        f"## {words['picture']}\n\n{words['picture_lead']}\n\n```{{raw}} html\n{picture(scheme, language)}\n```",
        f"## {words['code']}\n\n```python\nimport initlab\n\n"
        f'initlab.get_scheme("{scheme.name}").sample({shown_shape(scheme)}, seed=0)\n```',
    ]
    return "\n\n".join(parts) + "\n"


def prose(scheme: Scheme, language: str) -> dict[str, str]:
    """Formulas, what the scheme keeps, why, and its misuse, in the page's language; some formulas have no words."""
    formulas = {"formula": scheme.formula, "latex": scheme.latex}
    english = formulas | {"keeps": scheme.keeps, "why": scheme.why, "misuse": scheme.misuse}
    return english if language == "en" else formulas | KOREAN[scheme.name]


def digest(scheme: Scheme) -> str:
    """What a translation notes of the English it was made from, so that one that is out of date is found."""
    return hashlib.sha256("\n".join(prose(scheme, "en").values()).encode()).hexdigest()[:12]


def shown_shape(scheme: Scheme) -> tuple[int, int]:
    """The smallest of a few shapes of which a sample shows more than zeros, for a scheme that writes more."""
    shapes = ((2, 4), (12, 3))
    return next((shape for shape in shapes if scheme.sample(shape, seed=0).any()), shapes[0])


def picture(scheme: Scheme, language: str) -> str:
    """Histograms of the elements and of the singular values of one weight matrix drawn from the scheme."""
    words = WORDS[language]
    values = np.asarray(scheme.sample(SHAPE, seed=0), dtype=np.float64)
    spectrum = np.linalg.svd(values, compute_uv=False)
    spectrum[spectrum < len(values) * np.finfo(float).eps * spectrum[0]] = 0.0  # rounding
    reach = float(np.abs(values).max()) or 1.0
    top = float(spectrum.max()) * 1.02 or 1.0
    std, condition = float(values.std()), (spectrum[-1], spectrum[0])
    panels = [
        _panel(words["values"], values.ravel(), -reach, reach, f"{words['std']} {std:.4g}"),
        _panel(words["spectrum"], spectrum, 0.0, top, f"{condition[0]:.3g} … {condition[1]:.3g}"),
    ]
    shown = block_html(HistogramGrid("", panels, columns=2))
    return spoken.fragment(shown, spoken.said) if language == "ko" else shown


def _panel(title: str, values: Any, low: float, high: float, note: str) -> Panel:
    counts, edges = np.histogram(values, BINS, (low, high))
    return Panel(title, edges.tolist(), counts.tolist(), note)


def _facts(scheme: Scheme, language: str) -> list[str]:
    words = WORDS[language]
    code = {
        words["suits"]: ", ".join(f"`{name}`" for name in scheme.suits) or words["any"],
        words["aliases"]: ", ".join(f"`{name}`" for name in scheme.aliases),
        words["arguments"]: ", ".join(f"`{name}={value!r}`" for name, value in scheme.arguments.items()),
        words["source"]: f"{escaped(sources.said(scheme.source, language))} ({scheme.year})",
    }
    return ["\n".join(f"- **{name}**: {value}" for name, value in code.items() if value)]
