"""Every test runs in float64, with implicit rank promotion an error."""

import gc
import os
import tempfile

import hypothesis
import jax
import pytest

from tests.browser import NoBrowser, launched

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Most of a run's time is the compiler's, in thousands of small programs run once each. All below is
# set before the first compilation, and inherited by processes that a test starts.
jax.config.update("jax_disable_most_optimizations", True)
if jax.__version_info__ < (0, 11):
    # The older emitters of fused loops, which newer JAX has no more, compile in a third of the
    # time. A small program split in parts, to compile them side by side, takes a fifth more.
    SOONER = (
        "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters "
        "--xla_cpu_parallel_codegen_split_count=1"
    )
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {SOONER}".strip()
# What one process has compiled the others read, and so does a module whose cache was cleared. The
# first process makes the folder and takes it away in the end.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="layouts-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

# The first example of a test compiles, so that a time limit for each would measure the machine.
hypothesis.settings.register_profile("layouts", deadline=None, derandomize=True)
hypothesis.settings.load_profile("layouts")


# A trace allocates much and leaves few cycles: the default makes collecting a tenth of the time.
gc.set_threshold(50_000, 20, 50)

# The longest files, longest first: begun last, one would keep a worker while the others idle.
LONGEST = (
    *("test_cases", "test_sweep", "test_experiments", "test_doctor", "test_rules_selecting"),
    *("test_jacobian", "test_composition", "test_doctor_edits", "test_derive_show"),
    *("test_explorer_page", "test_explorer_server", "test_sharding", "test_store", "test_rules"),
    *("test_scale", "test_streaming", "test_transforms", "test_fuzz", "test_modules"),
)


def pytest_configure(config):
    """Files go to workers in the order of their collection, not by their numbers of tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """The longest files come first."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


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
