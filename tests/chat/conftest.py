"""What the tests of the chat share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chat.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """Two instances; whatever was spawned in a test must not have failed."""
    one = World()
    yield one
    one.check()
