"""A Chromium for the tests of the explorer's page, and for its picture."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "NO BROWSER: install Chromium, or `python -m playwright install chromium`"


class NoBrowser(Exception):
    """There is no Playwright, or no Chromium for it."""


@contextmanager
def launched() -> Iterator[Any]:
    """The system's Chromium, or Playwright's own.

    Raises:
        NoBrowser: there is none.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NoBrowser(f'{MISSING}, and `pip install -e ".[test]"`') from error
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if found is None and os.path.exists(playwright.chromium.executable_path):
            found = playwright.chromium.executable_path
        if found is None:
            raise NoBrowser(MISSING)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
