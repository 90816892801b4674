"""disroom-chat on a terminal, as somebody uses it who types and looks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.eventually import eventually_blocking
from tests.processes.client import ProgramClient
from tests.processes.text_client import Clients

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")

PROGRAM = [sys.executable, "-c", "import sys; from disroom.client.terminal.main import main"]
PROGRAM[-1] += "; sys.exit(main())"


class Terminal:
    """Somebody at a terminal with disroom-chat on it."""

    def __init__(self, clients: Clients, home: Path, *arguments: str, **env: str) -> None:
        settings = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "XDG_STATE_HOME": str(home)}
        given = [f"{name}={value}" for name, value in {**settings, **env}.items()]
        sized = ["sh", "-c", 'stty rows 24 columns 100 && exec "$@"', "sh"]
        self._clients = clients
        self.program = ProgramClient(clients, ["env", *given, *sized, *PROGRAM, *arguments])

    @property
    def text(self) -> str:
        """All that was shown, without what moves and colours it."""
        return ESCAPES.sub("", self.program.raw.decode("utf-8", "replace"))

    def type(self, text: str) -> None:
        """Press keys."""
        self.program.send(text.encode())

    def complete(self, start: str, end: str) -> None:
        """Type a beginning and Tab, and wait for the rest."""
        for keys, shown in ((start, start[-1]), ("\t", end)):
            before = len(self.text)
            self.type(keys)
            self.wait(lambda text, at=before, what=shown: what in text[at:])  # type: ignore[misc]

    def wait(self, condition: Callable[[str], object], timeout: float = 20.0) -> None:
        """Read until what is shown is so."""

        def shown() -> bool:
            self._clients.pump(0.01)
            return bool(condition(self.text))

        eventually_blocking(shown, timeout, lambda: f"shown was {self.text[-2000:]}")

    def see(self, text: str) -> None:
        """Wait until something is shown."""
        self.wait(lambda shown: text in shown)

    def leave(self) -> int:
        """Press Ctrl-D, again should a line that is being printed swallow it; return the status."""

        def left() -> bool:
            if not self.program.ended:
                self.type("\x04")
                self._clients.pump(0.5)
            return self.program.ended

        eventually_blocking(left)
        return self.program.wait_exit()
