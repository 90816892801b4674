"""A proxy before Redis that knows requests and replies."""

from dataclasses import dataclass
from pathlib import Path

from tests.processes.proxy import CuttingProxy
from tests.processes.resp import RespFrame, RespSplitter


@dataclass(frozen=True, slots=True)
class Request:
    """One request as Redis got it: the command's name in capitals, its arguments, when."""

    name: str
    arguments: tuple[bytes, ...]
    at: float


class CountingProxy(CuttingProxy[RespFrame]):
    """Records each request, so that a test can count the round trips.

    Each is taken for a round trip of its own, which is right for a client that awaits each reply
    and too much for one that pipelines.
    """

    def __init__(self, target: tuple[str, int] | Path) -> None:
        super().__init__(target, RespSplitter)

    @property
    def url(self) -> str:
        """The URL to give to the service in place of the server's own."""
        return f"redis://127.0.0.1:{self.port}"

    def requests(self, *names: str) -> list[Request]:
        """Return the requests since the start, or since `forget`; of these commands, if any."""
        requests: list[Request] = []
        for seen in self.seen:
            value = seen.frame.value
            if seen.direction == "to_server" and isinstance(value, list):
                name, *arguments = (part for part in value if isinstance(part, bytes))
                requests.append(Request(name.decode().upper(), tuple(arguments), seen.at))
        return [request for request in requests if not names or request.name in names]
