"""NATS spoken over a bare socket, to read the truth from a stream.

Shares no code with the service or its client library, so that the two cannot be wrong together.
"""

import base64
import json
import secrets
import socket
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from tests.eventually import eventually_blocking

Headers = dict[str, str]

NO_MESSAGE_FOUND = 10037
UNAVAILABLE = 10008
"""JetStream has no leader for the moment: a node has just come or gone."""


class Refused(OSError):
    """The server answered -ERR, for example `'Authorization Violation'`."""


class JetStreamError(Exception):
    """JetStream answered with an error; `code` is its err_code."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("description", ""))
        self.code: int = error.get("err_code", 0)


class RawMessage(NamedTuple):
    """A message as delivered; `status` is that of its header line, or 0."""

    subject: str
    reply: str
    headers: Headers
    payload: bytes
    status: int


class StoredMessage(NamedTuple):
    """A message as the stream holds it; `time` is the stream's own, RFC 3339."""

    seq: int
    subject: str
    headers: Headers
    payload: bytes
    time: str


class RawNats:
    """A blocking connection to one NATS server; a context manager.

    A wait for the server ends with a TimeoutError when nothing comes for `timeout` seconds.
    """

    def __init__(
        self,
        port: int,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._timeout = timeout
        self._buffer = b""
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        self._requests = 0
        self._subscriptions = 0
        try:
            self.info: dict[str, Any] = json.loads(self._line().removeprefix(b"INFO "))
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname="127.0.0.1")
            options: dict[str, str | bool] = {
                "verbose": False,
                "headers": True,
                "no_responders": True,
            }
            login = {"user": user, "pass": password, "auth_token": token}
            options |= {name: value for name, value in login.items() if value is not None}
            # In one piece: a server that refuses the login closes on what comes later.
            self._send(
                f"CONNECT {json.dumps(options)}\r\nSUB {self._inbox}.* inbox\r\nPING\r\n".encode()
            )
            self._wait_pong()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; harmless when done twice."""
        self._socket.close()

    def flush(self) -> None:
        """Wait until the server has processed all that was sent; drops messages on the way."""
        self._send(b"PING\r\n")
        self._wait_pong()

    def _wait_pong(self) -> None:
        while self._line() != b"PONG":
            pass

    def subscribe(self, subject: str) -> None:
        """Have messages of a subject delivered to `next_message`; `flush` makes sure of it."""
        self._subscriptions += 1
        self._send(f"SUB {subject} {self._subscriptions}\r\n".encode())

    def publish(
        self, subject: str, payload: bytes = b"", headers: Headers | None = None, reply: str = ""
    ) -> None:
        """Publish to core NATS, without waiting."""
        if headers is None:
            self._send(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")
            return
        head = "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        sizes = f"{len(head.encode())} {len(head.encode()) + len(payload)}"
        self._send(f"HPUB {subject} {reply} {sizes}\r\n{head}".encode() + payload + b"\r\n")

    def next_message(self, timeout: float | None = None) -> RawMessage:
        """Return the next message of any subscription.

        Raises:
            TimeoutError: Nothing came for `timeout` seconds (default: the connection's).
        """
        self._socket.settimeout(timeout or self._timeout)
        while True:
            line = self._line()
            verb, *fields = line.decode().split(" ")
            if verb not in ("MSG", "HMSG"):
                continue
            head_size = int(fields[-2]) if verb == "HMSG" else 0
            block = self._read(int(fields[-1]) + 2)[:-2]
            status, headers = _parse_headers(block[:head_size].decode())
            reply = fields[2] if len(fields) == (5 if verb == "HMSG" else 4) else ""
            return RawMessage(fields[0], reply, headers, block[head_size:], status)

    def request(
        self,
        subject: str,
        payload: bytes = b"",
        headers: Headers | None = None,
        timeout: float | None = None,
    ) -> RawMessage:
        """Return the first answer to a request; other messages on the way are dropped.

        Raises:
            ConnectionError: Nobody listens to the subject.
            TimeoutError: As `next_message`.
        """
        self._requests += 1
        reply = f"{self._inbox}.{self._requests}"
        self.publish(subject, payload, headers, reply)
        while (answer := self.next_message(timeout)).subject != reply:
            pass
        if answer.status == 503:
            raise ConnectionError(f"nobody answers {subject}")
        return answer

    def jetstream(
        self, call: str, body: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Return JetStream's answer to a call such as `STREAM.INFO.name`.

        Raises:
            JetStreamError: It answered with an error.
            TimeoutError: As `next_message`; a cluster without a leader does not answer.
        """
        asked = json.dumps(body).encode() if body is not None else b""
        return _granted(self.request(f"$JS.API.{call}", asked, timeout=timeout))

    def publish_acked(
        self, subject: str, payload: bytes, headers: Headers | None = None
    ) -> dict[str, Any]:
        """Publish to a stream and return its acknowledgement.

        Raises:
            JetStreamError: The stream did not take it.
        """
        return _granted(self.request(subject, payload, headers))

    def stream_info(self, stream: str, timeout: float | None = None) -> dict[str, Any]:
        """Return the stream's `config`, `state`, `created` and, in a cluster, `cluster`."""
        return self.jetstream(f"STREAM.INFO.{stream}", timeout=timeout)

    def consumer_count(self, stream: str) -> int:
        """Return how many consumers the stream has."""
        count: int = self.stream_info(stream)["state"]["consumer_count"]
        return count

    def stream_messages(self, stream: str, subject: str = ">") -> list[StoredMessage]:
        """Return all messages of a subject (wildcards allowed) in the stream's order.

        The stream's leader answers, so that no lagging replica can hide one.
        """
        messages: list[StoredMessage] = []
        seq = 0
        while (found := self._message_from(stream, seq + 1, subject)) is not None:
            messages.append(found)
            seq = found.seq
        return messages

    def _message_from(self, stream: str, seq: int, subject: str) -> StoredMessage | None:
        query = {"seq": seq, "next_by_subj": subject}

        def answer() -> dict[str, Any] | None:
            try:
                return self.jetstream(f"STREAM.MSG.GET.{stream}", query)
            except JetStreamError as error:
                if error.code == UNAVAILABLE:
                    return None
                if error.code == NO_MESSAGE_FOUND:
                    return {"message": None}
                raise

        found = eventually_blocking(answer, message=f"no answer about {stream}")["message"]
        if found is None:
            return None
        _, headers = _parse_headers(base64.b64decode(found.get("hdrs", "")).decode())
        payload = base64.b64decode(found.get("data", ""))
        return StoredMessage(found["seq"], found["subject"], headers, payload, found["time"])

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _line(self) -> bytes:
        """Return the next line; PINGs are answered, -ERR raises Refused."""
        while True:
            while (end := self._buffer.find(b"\r\n")) < 0:
                self._receive()
            line = self._read(end + 2)[:-2]
            if line.startswith(b"-ERR"):
                raise Refused(line[5:].decode())
            if line != b"PING":
                return line
            self._send(b"PONG\r\n")

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the NATS server closed the connection")
        self._buffer += data


def _granted(answer: RawMessage) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.payload)
    if "error" in body:
        raise JetStreamError(body["error"])
    return body


def _parse_headers(head: str) -> tuple[int, Headers]:
    """Return the status of a header block's first line (0 if none) and its fields."""
    version, *fields = head.rstrip("\r\n").split("\r\n")
    status = version.removeprefix("NATS/1.0").strip()[:3]
    pairs = (field.split(":", 1) for field in fields)
    return int(status or 0), {name.strip(): value.strip() for name, value in pairs}
