"""The endpoint of expressions, asked what a grammar, a typing error or ill will may come up with.

`python -m tests.fuzz_explorer --inputs 10000` asks for longer.
"""

import random
import sys

import pytest

from tests.explorer_served import serving
from tests.fuzz_explorer import body_of, fuzz

INPUTS = 120
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="/proc")


def test_the_explorer_stays_up_quick_and_small(tmp_path):
    with serving(tmp_path) as served:
        found = fuzz(served.enter(), INPUTS, seed=0)
        assert served.process.poll() is None
    print(found)
    found.check()
    assert sum(found.statuses.values()) == INPUTS
    assert set(found.statuses) == {200, 400, 422}
    assert found.statuses[200] > 3 and len(found.workers) == 1


def test_the_same_seed_asks_the_same():
    one, other = (random.Random(5) for _ in range(2))
    assert [body_of(one) for _ in range(50)] == [body_of(other) for _ in range(50)]
