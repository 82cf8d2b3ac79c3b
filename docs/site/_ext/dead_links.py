"""Links within a built site that lead nowhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


def dead_links(site: Path) -> list[str]:
    """What leads nowhere, one line each."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            name = unquote(parts.fragment)
            if not target.exists():
                found.append(f"{path.relative_to(site)}: {link} leads to no file")
            elif name and target in pages and name not in pages[target].names:
                found.append(f"{path.relative_to(site)}: {link} leads to no place of its page")
    return found


class _Page(HTMLParser):
    """The links and the names of places of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.names: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.names.add(value)
            elif value and (name == "href" or (name == "src" and not value.startswith("data:"))):
                self.links.add(value)
