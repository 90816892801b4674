"""`twistd -n disroom` with nothing given: brokers of its own, shared, taken over, and gone."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers.instance import brokers_of, kill_brokers, one_of_each, wait_until_gone
from tests.cluster.chat import history, user
from tests.eventually import eventually_blocking
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients

New = Callable[..., DisroomProcess]

READY_SECONDS = 5.0
"""Promised are 1.5 s on a warm machine with nothing else to do; a test's machine has."""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The state directory that instances have by default; afterwards nothing runs on it."""
    yield tmp_path / "state"
    kill_brokers(tmp_path / "state")


def say(client: LineClient, text: str) -> None:
    """Say something and wait until it is stored."""
    client.send_line(f"send {text}")
    client.expect(f": {re.escape(text)}$")


def test_nothing_given(clients: Clients, tmp_path: Path) -> None:
    """Whoever just starts it can chat soon; what runs for it is gone with it, however it ends."""
    state = tmp_path / "disroom"
    server = DisroomProcess(tmp_path, flood=None, env={"XDG_STATE_HOME": str(tmp_path)})
    server.options = [option for option in server.options if "--state-dir" not in option]
    assert server.options == ["--port=0"]
    for end in (server.kill, server.stop):
        started = time.monotonic()
        with server:
            client = LineClient(clients, server.address)
            client.send_line("nick ann\njoin tea")
            client.expect("Joined room tea as ann")
            assert time.monotonic() - started < READY_SECONDS
            assert one_of_each(state)
            end()
            wait_until_gone(state)
    assert "Traceback" not in server.output()


def test_a_start_that_is_given_up(state: Path, tmp_path: Path) -> None:
    """Stopped before anybody could connect, it leaves nothing behind either."""
    with DisroomProcess(tmp_path).launch() as server:
        eventually_blocking(lambda: brokers_of(state))
        server.terminate()
        _, output = server.wait_exit(5)
    wait_until_gone(state)
    assert "Traceback" not in output and "Cannot start" not in output


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="needs Linux's /proc")
def test_only_the_chat_port_is_open(new_disroom: New, state: Path) -> None:
    """Nobody on another machine can reach the brokers."""
    server = new_disroom()
    listening = {  # the hexadecimal addresses, by inode
        fields[9]: fields[1]
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        if (fields := line.split())[3] == "0A"
    }

    def addresses(pid: int) -> list[str]:
        sockets = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
        return [listening[s[8:-1]] for s in sockets if s[8:-1] in listening]

    assert addresses(server.pid) == [f"00000000:{server.port:04X}"]
    brokers = [address for each in brokers_of(state) for address in addresses(each.pid)]
    assert [address.partition(":")[0] for address in brokers] == ["0100007F"]


def test_two_instances_are_one_chat(new_disroom: New, clients: Clients, state: Path) -> None:
    """The second uses the first's brokers, and when the first is killed runs them: talk goes on."""
    env = {"DISROOM_PRESENCE_SETTLE": "1s"}
    first, second = new_disroom(env=env), new_disroom(env=env)
    assert one_of_each(state)
    ann, ben = user(clients, first, "ann", "tea"), user(clients, second, "ben", "tea")
    ann.expect("--> ben joined")
    say(ann, "<1>")
    ben.expect("ann: <1>")
    say(ben, "<2>")
    ann.expect("ben: <2>")

    first.kill()
    say(ben, "<3>")
    ben.expect("<-- ann left")
    assert one_of_each(state)
    cat = user(clients, second, "cat", "tea")
    assert history(cat, "tea") == ["<1>", "<2>", "<3>"]

    first.start()
    ann = user(clients, first, "ann", "tea")
    say(ann, "<4>")
    ben.expect("ann: <4>")
    second.stop()
    say(ann, "<5>")
    first.stop()
    wait_until_gone(state)
    second.start()
    assert history(user(clients, second, "dan", "tea"), "tea") == [f"<{n}>" for n in range(1, 6)]


def test_a_newcomer_waits_for_those_who_were_there(new_disroom: New, state: Path) -> None:
    """Who takes the brokers over gives no names away before the others have said who is here."""
    env = {"DISROOM_PRESENCE_SETTLE": "1500ms"}
    first = new_disroom(env=env)
    second = new_disroom(env=env)
    second.pause()
    first.kill()
    third = DisroomProcess(second.directory, name="third", env=env)
    with third.launch():
        eventually_blocking(lambda: "Connected to NATS" in third.output())
        second.resume()

        def is_back() -> bool:
            return "The Redis connection for presence is back" in second.output()

        eventually_blocking(lambda: third.listening or is_back())
        assert is_back()
        third.wait_ready()


def test_a_long_path(tmp_path: Path, clients: Clients) -> None:
    """The state directory may have a path that is too long for a socket in it."""
    state = tmp_path / ("long" * 30)
    with DisroomProcess(tmp_path, state_dir=state) as server:
        say(user(clients, server, "ann", "tea"), "<1>")
        server.kill()
        server.start()
        assert history(user(clients, server, "ann", "tea"), "tea") == ["<1>"]
    wait_until_gone(state)


def test_credentials_for_others(new_disroom: New, clients: Clients, state: Path) -> None:
    """What is configured for brokers elsewhere is without meaning for one's own."""
    server = new_disroom(
        env={
            "DISROOM_NATS_USER": "disroom",
            "DISROOM_NATS_PASSWORD": "secret",
            "DISROOM_NATS_CA": __file__,
            "DISROOM_REDIS_PASSWORD": "secret",
        }
    )
    say(user(clients, server, "ann", "tea"), "<1>")
