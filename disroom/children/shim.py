"""Runs a child that cannot outlive the process that started it; a script, never imported.

    python -I -S shim.py pdeathsig|pipe PARENT EXECUTABLE ARGUMENT...

Replaces itself by the executable, which is thus the parent's own child. File descriptor 0 is the
reading end of a pipe whose writing end only the parent has; all descriptors are passed on. It
imports little, since each start of a child waits for it: 8 ms in all.

`pdeathsig`: the kernel sends SIGKILL when the parent's thread that started us ends (Linux only).
`pipe`: a second process waits for the pipe's end and sends the SIGKILL (any POSIX system). It is
the executable's child and not its parent, so that signals and exit statuses pass nobody's hands.
"""

import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9  # the same everywhere; the signal module takes as long to import as all the rest


def ask_the_kernel(parent: int) -> None:
    """Have the kernel send SIGKILL to this process, and to what it executes, with the parent's end.

    Args:
        parent: Its process id.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it ended before the kernel knew our wish
        sys.exit("the parent is gone")


def leave_a_guard() -> None:
    """Fork a process that kills this one, and what it executes, at the end of the pipe."""
    watched = os.getpid()
    if os.fork() != 0:
        return
    # Keep nothing open but the pipe: the lock's descriptor, kept here, would outlive a broker.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.closerange(3, 256)
    while os.read(0, 4096):
        pass
    # The parent closes the pipe also when it has seen the child end; then we have another parent.
    if os.getppid() == watched:
        os.kill(watched, SIGKILL)
    os._exit(0)


def main(how: str, parent: str, *command: str) -> None:
    """Do what the module's docstring says.

    Args:
        how: `pdeathsig` or `pipe`.
        parent: The process id of who started us.
        command: The executable's path and its arguments.
    """
    os.setsid()  # Ctrl-C in a terminal is for the service, which then stops its children in order
    if how == "pdeathsig":
        ask_the_kernel(int(parent))
    else:
        leave_a_guard()
    # Python has set SIGPIPE to be ignored, which exec keeps; what is run here sets it itself.
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
