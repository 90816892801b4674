"""A real nats-server with JetStream."""

import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.processes.certificates import Certificates
from tests.processes.child import Child
from tests.processes.ports import ReservedPort
from tests.processes.rawnats import RawNats, Refused


@dataclass(frozen=True, slots=True)
class Login:
    """What a client of the server must show: a user with its password, or a token."""

    user: str | None = None
    password: str | None = None
    token: str | None = None

    def config(self) -> str:
        """Return the server's configuration for it."""
        if self.token is not None:
            return f'authorization {{ token: "{self.token}" }}'
        return f'authorization {{ user: "{self.user}", password: "{self.password}" }}'


class NatsServer(Child):
    """One nats-server on 127.0.0.1; JetStream's files are in its directory and stay there.

    Args:
        directory: For its configuration, log and data.
        name: Its server_name.
        login: What clients must show; None: nothing.
        tls: Offer TLS, and demand it, with this certificate.
        mutual: Demand a certificate of the same authority from clients.
        monitoring: Serve HTTP as well, at `monitoring_url`.
        jetstream: Whether to have JetStream.
        jetstream_config: Further settings of it.
        store: Where its data is; by default in the directory.
        extra_config: Appended to the configuration file. Where it sets up authorization of its
            own, the server counts as ready when it refuses a client without credentials.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "nats",
        login: Login | None = None,
        tls: Certificates | None = None,
        mutual: bool = False,
        monitoring: bool = False,
        jetstream: bool = True,
        jetstream_config: str = "",
        store: Path | None = None,
        extra_config: str = "",
    ) -> None:
        super().__init__(name, directory)
        self.extra_config = extra_config
        self._login = login
        self._tls = tls
        self._mutual = mutual
        self._jetstream = jetstream
        self._jetstream_config = jetstream_config
        self._store = store or directory / "data"
        self._port = ReservedPort()
        self._monitoring_port = ReservedPort() if monitoring else None

    @property
    def port(self) -> int:
        """The client port, the same after each start."""
        return self._port.number

    @property
    def url(self) -> str:
        """The URL for clients, without credentials."""
        return f"{'tls' if self._tls else 'nats'}://127.0.0.1:{self.port}"

    @property
    def monitoring_url(self) -> str:
        """The URL of the HTTP monitoring endpoints."""
        assert self._monitoring_port is not None, "made without monitoring"
        return f"http://127.0.0.1:{self._monitoring_port.number}"

    def start(self) -> Self:
        """Start it and wait until a client is served and JetStream answers."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Start it without waiting."""
        config = self.directory / f"{self.name}.conf"
        config.write_text(self._config(), encoding="utf-8")
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        self._launch([str(program), "--config", str(config)])

    def wait_ready(self) -> None:
        """Wait until a client is served and JetStream, where it stands alone, answers."""
        self._wait_ready(self._answers)

    def connect(self) -> RawNats:
        """Return a raw connection, with the right credentials."""
        login = self._login or Login()
        return RawNats(
            self.port,
            user=login.user,
            password=login.password,
            token=login.token,
            tls=self._tls.client_context() if self._tls else None,
        )

    def change_login(self, login: Login) -> None:
        """Demand something else from its next start on."""
        self._login = login

    def close(self) -> None:
        """Stop it and give its ports back."""
        super().close()
        self._port.release()
        if self._monitoring_port is not None:
            self._monitoring_port.release()

    def _answers(self) -> bool:
        try:
            with self.connect() as client:
                if client.info.get("jetstream") and not client.info.get("cluster"):
                    client.jetstream("INFO")
        except Refused:
            return self._login is None
        return True

    def _config(self) -> str:
        lines = [f'server_name: "{self.name}"', f"listen: 127.0.0.1:{self.port}"]
        if self._monitoring_port is not None:
            lines.append(f"http: 127.0.0.1:{self._monitoring_port.number}")
        if self._jetstream:
            lines.append(f'jetstream {{ store_dir: "{self._store}", {self._jetstream_config} }}')
        if self._login is not None:
            lines.append(self._login.config())
        if self._tls is not None:
            files = f'cert_file: "{self._tls.certificate}", key_file: "{self._tls.key}"'
            clients = f', ca_file: "{self._tls.authority}", verify: true' if self._mutual else ""
            lines.append(f"tls {{ {files}{clients} }}")
        return "\n".join([*lines, self.extra_config, ""])
