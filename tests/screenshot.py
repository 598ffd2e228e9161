"""Take the README's picture of the explorer: `python -m tests.screenshot`."""

import tempfile
from pathlib import Path

from tests.browser import NoBrowser, launched
from tests.explorer_served import ROOT, serving

PICTURE = ROOT / "docs" / "explorer.png"
MOST = 300_000  # bytes
STATE = "gallery=seed-w&pin=1,2,1,0"


def take(path: Path) -> None:
    """The first view of the page, in the light theme, 1280 pixels wide.

    Raises:
        NoBrowser: there is none to take it with.
    """
    size = {"width": 1280, "height": 1000}
    with (
        launched() as browser,
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder)) as served,
    ):
        page = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
        page.goto(f"{served.url}#{STATE}")
        page.wait_for_selector(".content:not([hidden])")
        page.wait_for_selector("main:not([aria-busy])")
        path.parent.mkdir(exist_ok=True)
        page.screenshot(path=path)
    if path.stat().st_size > MOST:
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes, more than {MOST:,}")


if __name__ == "__main__":
    try:
        take(PICTURE)
    except NoBrowser as error:
        raise SystemExit(str(error)) from None
    print(PICTURE)
