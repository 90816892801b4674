"""Frames come out whole, however they arrive, and nothing piles up."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.wire.frame import FIRST_BYTE, LENGTH_BYTES, MOST_BYTES, FrameDecoder, encode

bodies = st.lists(st.binary(max_size=300))


@given(bodies, st.integers(1, 400))
def test_bodies_come_out_as_they_went_in(sent: list[bytes], step: int) -> None:
    """A request is read in whatever pieces the network brings it."""
    stream = b"".join(encode(body) for body in sent)
    decoder = FrameDecoder()
    read: list[bytes] = []
    for at in range(0, len(stream), step):
        read += decoder.feed(stream[at : at + step])
    assert read == sent
    assert decoder.fault is None


@given(bodies, st.integers(MOST_BYTES + 1, 2**32 - 1), st.binary())
def test_what_came_before_a_length_that_is_too_great_is_read(
    sent: list[bytes], size: int, after: bytes
) -> None:
    """A client that errs gets the answers to what it asked before it erred."""
    decoder = FrameDecoder()
    stream = b"".join(encode(body) for body in sent) + size.to_bytes(LENGTH_BYTES, "big")
    assert decoder.feed(stream + after) == sent
    assert decoder.fault is not None
    assert decoder.fault.code == "frame-too-long"
    assert decoder.feed(encode(b"more")) == []


@pytest.mark.parametrize("size", [0, 1, MOST_BYTES])
def test_a_frame_of_any_length_allowed_is_read(size: int) -> None:
    """The greatest length is that which is documented, and not a byte less."""
    decoder = FrameDecoder()
    assert decoder.feed(encode(b"x" * size)) == [b"x" * size]
    assert encode(b"x" * size)[0] == FIRST_BYTE


def test_a_claim_of_four_gigabytes_costs_nothing() -> None:
    """Whoever announces much and sends more takes no memory from the others."""
    decoder = FrameDecoder()
    tracemalloc.start()
    try:
        for _ in range(100):
            decoder.feed(b"\xff" * 65536)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
