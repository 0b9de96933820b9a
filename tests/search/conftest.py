"""One pool of grading processes for the tests of the search."""

from __future__ import annotations

import pytest

from harness.grading.grade import Grader


@pytest.fixture(scope="package")
def grader():
    with Grader(workers=2) as pool:
        yield pool
