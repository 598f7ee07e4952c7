"""Pictures of reports and of `xp view` in docs/, all of the study in docs/showcase.zip.

`python -m tests.docs.pictures` makes them anew; `python -m tests.docs.showcase` does so last.
"""

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chromium import browser, playwright
from tests.docs.showcase import BUNDLE, ROOT
from tests.xp.small_study import plan_of
from tests.xp.view.serving import served
from warehouse.report.browser import answers_link
from xp.bundle import read_bundle

DOCS = BUNDLE.parent

DESKTOP, PHONE, PAPER = (1280, 800), (390, 844), (794, 1123)
"""Pixels; paper is A4 at 96 dots an inch."""

WRONG = answers_link(method="sft", language="fr", measure="correct", only="wrong", against="urial")
"""Answers that pictures show: what a tuned model got wrong, beside worked examples."""

MARGIN = "document.body.style.padding = '32px'"


def draw(store: Path) -> None:
    """Make the pictures, of a store that the bundle was read into.

    `xp view` knows a study by its record, which a bundle does not hold: it is that of the spec.
    """
    study = plan_of(ROOT / "specs" / "showcase.yaml").study
    (store / "experiments").mkdir()
    (store / "experiments" / "showcase.json").write_text(study.model_dump_json(), "utf-8")
    with TemporaryDirectory() as folder, zipfile.ZipFile(BUNDLE) as packed:
        report = Path(packed.extract("report.html", folder)).as_uri()
        with browser() as started, served(store) as port:
            _shoot(started, report, "showcase/first_screen.png", DESKTOP)
            _shoot(started, report, "showcase/phone.png", PHONE)
            _shoot(started, report, "printed.png", PAPER, media="print")
            _shoot(started, report + WRONG, "answers.png", DESKTOP, at="#answers")
            view = f"http://127.0.0.1:{port}/?study=showcase"
            _shoot(started, view + WRONG, "view.png", DESKTOP, at="#answers")


def _shoot(
    started: "playwright.Browser",
    address: str,
    name: str,
    size: tuple[int, int],
    at: str = "",
    media: str = "screen",
) -> None:
    """Save the part of a page that a screen shows, from its top or from an element's."""
    page = started.new_page(viewport={"width": size[0], "height": size[1]})
    page.emulate_media(media=media)
    page.goto(address)
    page.locator("#browser[aria-busy=false]").wait_for(state="attached")
    if media == "print":
        page.evaluate(MARGIN)
    if at:
        page.locator(at).evaluate("element => element.scrollIntoView()")
    page.wait_for_timeout(500)  # for what the browser does of its own, as scrolling
    page.screenshot(path=DOCS / name)
    page.close()


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        read_bundle(BUNDLE, Path(made) / ".xp")
        draw(Path(made) / ".xp")
