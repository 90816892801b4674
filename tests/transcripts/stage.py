"""What a transcript is played with: real servers, brokers and clients."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.cluster.chat import Chat
from tests.eventually import eventually_blocking
from tests.processes.child import Child
from tests.processes.client import LineClient, ProgramClient
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients
from tests.transcripts.notation import Line, parse_hex, parse_text, with_tokens
from tests.transcripts.players import Mismatch, Player
from tests.transcripts.script import Transcript

START_SECONDS = 15.0

RECEIVE_BUFFER = 32 << 10
"""SO_RCVBUF of every client: little enough that one who does not read is soon noticed."""


class Stage:
    """The servers, brokers and people of one transcript: a context manager, which starts them.

    What can be done in a transcript is a method: of somebody, or of a server or broker, by name.

    Args:
        transcript: What is played.
        directory: For the servers' logs.
        chat: Makes servers that are one chat, apart from any other.
        brokers: By name, those that the transcript may do things to.
    """

    def __init__(
        self, transcript: Transcript, directory: Path, chat: Chat, brokers: dict[str, Child]
    ) -> None:
        self._transcript = transcript
        self._players: dict[str, Player] = {}
        self._clients = Clients()
        self._began = time.time()
        self._tokens: dict[str, str] = {}
        self._patience = 10.0
        self._started = ExitStack()
        chat.settings.update(transcript.settings)
        if transcript.motd:
            motd = directory / "motd"
            motd.write_text("\n".join(transcript.motd), encoding="utf-8")
            chat.settings["DISROOM_SERVER_MOTD"] = str(motd)
        self._servers: dict[str, DisroomProcess] = {}
        for name in transcript.servers:
            arguments: Any = chat.arguments(name=name, instance_name=name)
            self._servers[name] = DisroomProcess(directory, **arguments)
        self._children: dict[str, Child] = {**brokers, **self._servers}

    def __enter__(self) -> Self:
        self._started.enter_context(self._clients)
        for server in self._servers.values():
            server.launch()
            self._started.callback(server.kill)  # nobody is there to be told
        for server in self._servers.values():
            self._wait_listening(server)
        return self

    def __exit__(self, *exc: object) -> None:
        self._started.close()

    def end(self) -> None:
        """See that nothing is left over.

        Raises:
            Mismatch: Somebody has something to read, or a server something to hide.
        """
        for who, player in self._players.items():
            try:
                if not player.gone and not player.deaf:
                    player.receive_nothing()
            except AssertionError as wrong:
                raise Mismatch(f"{who} has something left at the end\n{wrong}") from None
        for name, server in self._servers.items():
            log = server.log.read_text(encoding="utf-8", errors="replace")
            if "Traceback" in log:
                raise Mismatch(f"the log of {name} has a traceback:\n{log}")

    def _wait_listening(self, server: DisroomProcess) -> None:
        """Wait until it listens; a connection made to find out would count as a client."""
        others = {"DISROOM_SERVER_TELNET", "DISROOM_SERVER_LISTEN"}
        ports = 1 + len(others & self._transcript.settings.keys())
        eventually_blocking(
            lambda: len(server.listening) == ports or not server.running,
            START_SECONDS,
            f"{server.name} is not ready",
        )
        assert server.running, f"{server.name} has ended:\n{server.log_tail()}"

    def _player(self, who: str) -> Player:
        assert who in self._players and not self._players[who].gone, f"{who} is not connected"
        self._players[who].patience = self._patience
        return self._players[who]

    # What people do.

    def connect(self, who: str, server: str | None, other: str | None) -> None:
        """Connect a socket."""
        listening = self._servers[server or "one"].listening
        address = listening[-1] if other else listening[0]
        client = LineClient(self._clients, address, receive_buffer=RECEIVE_BUFFER)
        self._players[who] = Player(client, self._clients, began=self._began, tokens=self._tokens)

    def run(self, who: str, command: str, server: str | None) -> None:
        """Run a program on a terminal."""
        self._run(who, command, server, terminal=True)

    def pipe(self, who: str, command: str, server: str | None) -> None:
        """Run a program with pipes."""
        self._run(who, command, server, terminal=False)

    def _run(self, who: str, command: str, server: str | None, *, terminal: bool) -> None:
        port = str(self._servers[server or "one"].port)
        words = [*command.split(), "127.0.0.1", port]
        client = ProgramClient(self._clients, words, terminal=terminal)
        self._players[who] = Player(
            client,
            self._clients,
            began=self._began,
            tokens=self._tokens,
            line_end=b"\r" if terminal else b"\n",
            terminal=terminal,
        )

    def send(self, who: str, text: str | None) -> None:
        """Send a line, or a part of one."""
        data, ended = parse_text(with_tokens(text or "", self._tokens))
        self._player(who).send(data, whole_line=ended)

    def send_hex(self, who: str, text: str) -> None:
        """Send bytes."""
        self._player(who).send(parse_hex(text))

    def receive(self, who: str, text: str | None) -> None:
        """Compare the next line."""
        self._player(who).receive(Line.parse(text or ""))

    def receive_any_order(self, who: str, texts: str) -> None:
        """Compare the next lines, whatever their order is."""
        self._player(who).receive(*map(Line.parse, texts.split("\n~ ")))

    def receive_hex(self, who: str, text: str) -> None:
        """Compare the next bytes."""
        self._player(who).receive_bytes(parse_hex(text))

    def skip(self, who: str, text: str) -> None:
        """Read lines up to this one."""
        self._player(who).skip_to(Line.parse(text))

    def retry(self, who: str, text: str) -> None:
        """Send a line until the answer is not to try again."""
        self._player(who).retry(parse_text(text)[0])

    def ask_until(self, who: str, text: str, answer: str) -> None:
        """Send a line, again and again, until this is the answer."""
        self._player(who).ask_until(parse_text(text)[0], Line.parse(answer))

    def receive_nothing(self, who: str) -> None:
        """See that nothing has come."""
        self._player(who).receive_nothing()

    def be_deaf(self, who: str) -> None:
        """Read no more."""
        player = self._player(who)
        player.deaf = True
        self._clients.remove(player.client)

    def read_on(self, who: str) -> None:
        """Read again."""
        player = self._player(who)
        player.deaf = False
        self._clients.add(player.client)

    def half_close(self, who: str) -> None:
        """Send no more."""
        client = self._player(who).client
        assert isinstance(client, LineClient | ProgramClient)
        client.half_close()

    def reset(self, who: str) -> None:
        """Break the connection off."""
        player = self._player(who)
        assert isinstance(player.client, LineClient), "a program cannot be told to reset"
        player.client.reset()
        player.gone = True

    def hang_up(self, who: str) -> None:
        """Close the connection."""
        self._player(who).leave()

    def be_disconnected(self, who: str) -> None:
        """See that the connection is closed by the other side."""
        self._player(who).be_disconnected()

    # What happens to servers and brokers.

    def start(self, name: str) -> None:
        """Start it, with the data that it had."""
        child = self._children[name]
        if isinstance(child, DisroomProcess):
            child.launch()
            self._wait_listening(child)
        else:
            child.start()

    def stop(self, name: str) -> None:
        """Stop it in an orderly way."""
        self._children[name].stop()

    def kill(self, name: str) -> None:
        """Kill it."""
        self._children[name].kill()

    def freeze(self, name: str) -> None:
        """Stop the process where it is."""
        self._children[name].pause()

    def thaw(self, name: str) -> None:
        """Let the process go on."""
        self._children[name].resume()

    def set_patience(self, _: str, seconds: str) -> None:
        """Wait at most this long for anything from now on."""
        self._patience = float(seconds)
