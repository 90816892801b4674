"""A sensor that says once a second what it reads: python sensor.py HOST PORT NICK ROOM."""

import random
import socket
import sys
import time

import msgspec

host, port, nick, room = sys.argv[1:]
connection = socket.create_connection((host, int(port)), timeout=60)
received = connection.makefile("rb")


def ask(**request: object) -> None:
    """Send a request and wait for its answer; what others say is passed over."""
    body = msgspec.msgpack.encode({"id": 1, **request})
    connection.sendall(len(body).to_bytes(4, "big") + body)
    answer = {"type": ""}
    while answer["type"] not in ("ok", "error"):
        while received.peek(1)[:1] > b"\0":  # the greeting is text
            received.read(1)
        answer = msgspec.msgpack.decode(received.read(int.from_bytes(received.read(4), "big")))
    assert answer["type"] == "ok", answer["message"]


ask(op="nick", nick=nick)
ask(op="join", room=room)
while not time.sleep(1):
    ask(op="send", room=room, text=f"{random.gauss(21, 0.5):.1f} °C")
