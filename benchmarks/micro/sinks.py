"""Where a benchmark's clients receive."""

from twisted.internet.testing import StringTransport


class Sink(StringTransport):
    """A transport that takes everything and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self.written = 0

    def write(self, data: bytes) -> None:
        """Count a write."""
        self.written += 1
