"""The service as a process: how tests start it and find its ports."""

from pathlib import Path

import pytest

from tests.processes.child import StartError
from tests.processes.disroom import DisroomProcess, parse_address


@pytest.mark.parametrize(
    ("logged", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("tcp:127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("tcp:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:8080 (text)", ("127.0.0.1", 8080)),
        ("[::]:8080", ("127.0.0.1", 8080)),
        ("tcp6:[::1]:8080", ("::1", 8080)),
        ("port 8080", ("127.0.0.1", 8080)),
        ("http://127.0.0.1:8080/livez", ("127.0.0.1", 8080)),
        ('tcp:127.0.0.1:8080","address":"..."}', ("127.0.0.1", 8080)),
        ("unix:/run/disroom.sock", Path("/run/disroom.sock")),
        ('unix:/run/disroom.sock","address":"..."}', Path("/run/disroom.sock")),
    ],
)
def test_the_log_says_where_it_listens(logged: str, address: tuple[str, int] | Path) -> None:
    """A test finds the ports that the kernel chose, in whichever way the log has them."""
    assert parse_address(logged) == address


def test_a_failed_start_has_its_status_and_its_words(tmp_path: Path) -> None:
    """A test of a wrong option sees what a person at a terminal would see."""
    service = DisroomProcess(tmp_path, options=["--no-such-option"])
    code, output = service.launch().wait_exit()
    assert code == 1
    assert output
    with pytest.raises(StartError, match="ended: 1"):
        service.start()


def test_options_are_passed_as_users_write_them(tmp_path: Path) -> None:
    """Each setting of a test is the option of the same name."""
    service = DisroomProcess(
        tmp_path, redis="redis://127.0.0.1:1", nats=["nats://a:1", "nats://b:2"], flood=None
    )
    assert service.options == [
        "--port=0",
        "--redis=redis://127.0.0.1:1",
        f"--state-dir={tmp_path / 'state'}",
        "--nats=nats://a:1",
        "--nats=nats://b:2",
    ]
    assert service.command[1:4] == ["-n", f"--pidfile={tmp_path / 'disroom.pid'}", "disroom"]
