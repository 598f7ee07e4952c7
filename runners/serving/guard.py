"""Guard of a server: a process that starts it, and ends it with all that it has started.

    python guard.py LOG COMMAND…

The server writes to the log. It is ended when the guard's standard input is at its end, that is when the
process that holds the other side of the pipe has ended, however it ended; and the guard ends with the server,
with its exit code. It stands alone, so that any Python can run it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GRACE_SECONDS = 5.0
"""Time to end by itself after SIGTERM: a server that is killed leaves shared memory behind."""
_LOOK_SECONDS = 0.05


def main() -> None:
    log, *command = sys.argv[1:]
    with open(log, "ab", buffering=0) as out:
        try:
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_guard,  # safe: this process has one thread yet
            )
        except OSError as error:
            out.write(f"{command[0]}: {error.strerror}\n".encode())
            os._exit(127)
    threading.Thread(target=_watch, args=(server.pid,), daemon=True).start()
    code = server.wait()
    _end(server.pid)
    os._exit(code if code >= 0 else 128 - code)


def _watch(group: int) -> None:
    """End a server when the other side of standard input is closed."""
    while os.read(0, 1):
        pass
    _end(group)


def _end(group: int) -> None:
    """End a group of processes: ask, wait, kill."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
        patience = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < patience:
            time.sleep(_LOOK_SECONDS)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)


def _die_with_guard() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
