"""Every test runs in float64, with implicit rank promotion an error."""

import os

import hypothesis
import jax
import pytest

from tests.browser import NoBrowser, launched

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Thousands of small programs are compiled here, each run once.
jax.config.update("jax_disable_most_optimizations", True)

# The first example of a test compiles, so that a time limit for each would measure the machine.
hypothesis.settings.register_profile("layouts", deadline=None, derandomize=True)
hypothesis.settings.load_profile("layouts")


@pytest.fixture(scope="module", autouse=True)
def small():
    """What a module's tests compiled is let go: kept, it would fill some gigabytes in the end."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def browser():
    """A browser for the tests of a module; they are skipped without, and fail under CI.

    Playwright keeps an event loop in this thread, in which no other test could start its own.
    """
    try:
        with launched() as found:
            yield found
    except NoBrowser as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


def pytest_terminal_summary(terminalreporter):
    """Say loudly that the page went untested; a skipped test alone is easily missed."""
    skipped = terminalreporter.stats.get("skipped", ())
    if any("NO BROWSER" in str(report.longrepr) for report in skipped):
        terminalreporter.section("NO BROWSER: the explorer's page went untested", red=True)
