"""The site as readers get it: every link leads somewhere, and a browser shows every page without an error.

``tox run -e docs`` builds it and sets ``CAPFRAME_SITE``. Nothing here imports capframe.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlparse

import pytest

SITE = Path(os.environ.get("CAPFRAME_SITE", ""))
PAGES = sorted(SITE.glob("*.html")) if os.environ.get("CAPFRAME_SITE") else []
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCREENS = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "telephone": (390, 844, "light")}

pytestmark = pytest.mark.skipif(not PAGES, reason="no site: 'tox run -e docs' builds one")


class Links(HTMLParser):
    """Collects where a page leads, what it loads, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.leads: set[str] = set()
        self.loads: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.leads.add(given["href"])
        if tag == "link" and given.get("rel") not in {"canonical", "prev", "next"}:
            self.loads.add(given["href"])
        if "src" in given:
            self.loads.add(given["src"])


@functools.cache
def links(page: Path) -> Links:
    return Links(page)


def fault(page: Path, target: str) -> str:
    """Return what is wrong with a link within the site; empty if nothing is."""
    path, anchor = urldefrag(target)
    file = (page.parent / unquote(path)).resolve() if path else page
    file = file / "index.html" if file.is_dir() else file
    if not file.is_file():
        return f"{target}: there is no such file"
    if anchor and file.suffix == ".html" and unquote(anchor) not in links(file).anchors | {"__search"}:
        return f"{target}: there is no such anchor"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    if page.name == "404.html":  # its links are those of the root of a server
        return
    inner = [link for link in links(page).leads | links(page).loads if not urlparse(link).scheme]

    assert [found for link in sorted(inner) if (found := fault(page, link))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_nothing_is_loaded_from_elsewhere(page: Path) -> None:
    assert [link for link in links(page).loads if urlparse(link).netloc] == []


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the site to this machine alone."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *values: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"NO PAGE WAS LOOKED AT: none of {', '.join(BROWSERS)} is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="NO PAGE WAS LOOKED AT: no playwright")
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_browser_shows_the_page_without_an_error(
    page: Path, screen: str, browser: Any, address: str
) -> None:
    width, height, scheme = SCREENS[screen]
    errors: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    with contextlib.closing(context):
        shown = context.new_page()
        shown.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.on("requestfailed", lambda request: errors.append(f"failed: {request.url}"))
        shown.on(
            "request",
            lambda request: (
                None if request.url.startswith((address, "data:")) else errors.append(request.url)
            ),
        )
        shown.goto(f"{address}/{page.name}", wait_until="networkidle")

        assert errors == []
        assert shown.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)") == []
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, "it must be scrolled sideways"
        if folder := os.environ.get("CAPFRAME_SCREENSHOTS"):
            shown.screenshot(path=Path(folder, f"{page.stem}-{screen}.png"), full_page=True)
