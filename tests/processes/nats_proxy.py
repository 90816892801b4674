"""A proxy before a nats-server that knows messages."""

from typing import NamedTuple

from tests.processes.proxied import Direction
from tests.processes.proxy import CuttingProxy

# VERB subject ... size: a payload of that size and a line end follow.
WITH_PAYLOAD = {b"PUB", b"HPUB", b"MSG", b"HMSG"}


class NatsFrame(NamedTuple):
    """One protocol message, its payload included; the subject is empty where there is none."""

    raw: bytes
    verb: str
    subject: str

    @property
    def body(self) -> bytes:
        """What follows the first line: headers, if any, and payload."""
        return self.raw[self.raw.find(b"\r\n") + 2 : -2]


class NatsSplitter:
    """Cuts one direction of a NATS connection into protocol messages; either direction."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[NatsFrame]:
        """Return the messages that these bytes complete."""
        self._buffer += data
        frames: list[NatsFrame] = []
        start = 0
        while (line_end := self._buffer.find(b"\r\n", start)) >= 0:
            fields = self._buffer[start:line_end].split() or [b""]
            verb = fields[0].upper()
            end = line_end + 2
            if verb in WITH_PAYLOAD:
                end += int(fields[-1]) + 2
            if end > len(self._buffer):
                break
            subject = fields[1].decode() if verb in WITH_PAYLOAD else ""
            frames.append(NatsFrame(self._buffer[start:end], verb.decode(), subject))
            start = end
        self._buffer = self._buffer[start:]
        return frames


class NatsProxy(CuttingProxy[NatsFrame]):
    """Forwards a client to one nats-server, and can lose chosen messages on the way.

    The server must be alone, or in a cluster that does not advertise its nodes: otherwise the
    client learns of ways around the proxy. Without TLS.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(target, NatsSplitter)

    @property
    def url(self) -> str:
        """The URL to give to the service in place of the server's own."""
        return f"nats://127.0.0.1:{self.port}"

    def drop_subjects(self, direction: Direction, prefix: str) -> None:
        """Drop, from now on, the messages on subjects that start with the prefix.

        `to_client` are deliveries (MSG, HMSG), `to_server` are publishes (PUB, HPUB).
        """
        self.drop_if(
            lambda going, frame: (
                going == direction and frame.subject != "" and frame.subject.startswith(prefix)
            )
        )

    def dropped(self) -> list[NatsFrame]:
        """Return the messages dropped since the start, or since `forget`."""
        return [seen.frame for seen in self.seen if seen.dropped]
