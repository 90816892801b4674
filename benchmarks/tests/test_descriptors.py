"""As many connections as a scenario needs, or the reason why not."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from benchmarks.descriptors import descriptors

TOO_FEW = """
import resource
from benchmarks.descriptors import descriptors
from benchmarks.results import NotMeasured
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
try:
    with descriptors(10_000):
        print("allowed")
except NotMeasured as reason:
    print(reason)
"""


def test_as_many_are_allowed_as_are_needed_and_no_longer() -> None:
    """Whoever runs the benchmark need not know of `ulimit`."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < 1000:
        pytest.skip("the hard limit is lower")
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, before[1]))
    try:
        with descriptors(700):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 700
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 500
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_where_the_hard_limit_is_lower_the_reason_is_told() -> None:
    """The run goes on without the scenario."""
    done = subprocess.run(
        [sys.executable, "-c", TOO_FEW], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "10,200 open files are needed, and 300 allowed (ulimit -Hn)\n"
