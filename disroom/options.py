"""The command line of ``twistd disroom``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.python import usage

from disroom.config import Config, ConfigError, load

_KEYS = {
    "port": "server.port",
    "interface": "server.interface",
    "telnet": "server.telnet",
    "redis": "redis.url",
    "state-dir": "server.state_dir",
    "instance-name": "server.instance_name",
    "workers": "server.workers",
    "flood": "limits.flood",
    "admin": "server.admin",
    "web": "server.web",
    "motd": "server.motd",
    "log-format": "server.log_format",
}


class Options(usage.Options):
    """Options of the subcommand.

    Attributes:
        config: The whole configuration, once the options are parsed.
    """

    synopsis = "[options]"
    longdesc = """\
A chat-room server for telnet and netcat. With neither --nats nor --redis it starts brokers of its
own on this machine, so that `twistd -n disroom` is all there is to do; then: telnet localhost 8080.
Any number of instances on the same brokers are one chat. Every option is also a key of the file
(see conf/disroom.toml) and an environment variable, such as DISROOM_PORT or DISROOM_REDIS_PASSWORD;
options win over variables, and those over the file."""

    optParameters = [  # noqa: RUF012 - Twisted's form
        ["port", "p", None, "Port for telnet, netcat and programs. [default: 8080]"],
        ["interface", None, None, "Address that --port and --telnet listen on. [default: all]"],
        ["telnet", None, None, "Port for telnet alone: negotiates at once."],
        ["redis", None, None, "redis://, rediss:// or unix:// URL, or sentinel://HOST,HOST/NAME."],
        ["config", "c", None, "TOML file; conf/disroom.toml documents every key."],
        ["state-dir", None, None, "Where embedded brokers keep their data."],
        ["instance-name", None, None, "Name of this instance; supersedes one that had it before."],
        ["workers", None, None, "Processes behind the same ports, each an instance. [default: 1]"],
        ["flood", None, None, "Commands a client may send: RATE/BURST or off. [default: 20/100]"],
        ["web", None, None, "PORT, or endpoint, for the web page and for WebSocket at /ws."],
        ["admin", None, None, "Endpoint or PORT for /livez and /readyz, on loopback if PORT."],
        ["motd", None, None, "File with the message of the day."],
        ["log-format", None, None, "text or json. [default: text]"],
    ]
    optFlags = [  # noqa: RUF012 - Twisted's form
        ["apply-stream", None, "Change an existing stream to what is configured."],
    ]
    compData = usage.Completions(  # noqa: N815 - Twisted's name
        optActions={
            "config": usage.CompleteFiles("*.toml"),
            "state-dir": usage.CompleteDirs(),
            "motd": usage.CompleteFiles(),
        }
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._listen: list[str] = []
        self._nats: list[str] = []
        self.config = Config()

    def opt_listen(self, endpoint: str) -> None:
        """Also listen on a Twisted endpoint: ssl:..., unix:..., haproxy:tcp:..., systemd:..."""
        self._listen.append(endpoint)

    def opt_nats(self, url: str) -> None:
        """URL of a NATS server with JetStream; repeat it for each server of a cluster."""
        self._nats.append(url)

    def parseOptions(self, options: Any = None) -> None:  # noqa: N802 - Twisted's name
        """Parse; whatever is wrong is said in one line, and the exit status is 1."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        except usage.UsageError as error:
            sys.exit(f"disroom: {error} (see: twistd disroom --help)")

    def postOptions(self) -> None:
        """Put the configuration together."""
        if not isinstance(reactor, AsyncioSelectorReactor):
            raise usage.UsageError("only the asyncio reactor will do; leave out --reactor")
        chosen: dict[str, Any] = {
            key: self[option] for option, key in _KEYS.items() if self[option] is not None
        }
        if self._listen:
            chosen["server.listen"] = self._listen
        if self._nats:
            chosen["nats.url"] = self._nats
        if self["apply-stream"]:
            chosen["apply_stream"] = True
        file = self["config"] or os.environ.get("DISROOM_CONFIG")
        try:
            self.config = load(
                file=Path(file) if file else None, environment=os.environ, options=chosen
            )
        except ConfigError as error:
            raise usage.UsageError(str(error)) from error
