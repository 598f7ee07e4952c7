"""Chromium for tests of pages: a browser, and a page that remembers what it said and asked for."""

import contextlib
import shutil
from collections.abc import Generator

import pytest

from tests.xp.small_study import HANG_SECONDS

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
        if (path := shutil.which(name))
    ),
    None,
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install chromium")


@contextlib.contextmanager
def browser() -> Generator["playwright.Browser"]:
    """A browser that asks for nothing by itself, closed at the end."""
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield found
        found.close()


class Visit:
    """A page that is open, and all that it said and asked for since."""

    def __init__(self, page: "playwright.Page", address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(1000 * HANG_SECONDS)
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)

    def hacked(self) -> str | None:
        return self.page.evaluate("window.hacked ?? null")
