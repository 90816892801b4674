"""What an instance says of itself at /readyz."""

import re
import urllib.error
import urllib.request

from tests.eventually import eventually_blocking
from tests.processes.disroom import DisroomProcess

ADMIN = re.compile(r"Admin on tcp:127\.0\.0\.1:(\d+)\n")


def readiness(server: DisroomProcess) -> tuple[bool, str]:
    """Whether an instance, started with `admin="0"`, says that it is ready, and its words."""
    found = eventually_blocking(lambda: ADMIN.search(server.output()), message="no admin port")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/readyz", timeout=2) as answer:
            return True, answer.read().decode()
    except urllib.error.HTTPError as error:
        return False, error.read().decode()
