"""Memory: how much is free, and how what is no longer used is given back."""

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from typing import Any

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: str) -> int:
    """What could be used more on a device (`cuda` or `cpu`): of the machine's memory, or of what this
    process's container is given of it."""
    if device == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    import psutil

    available = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # no such container, or `max`: no limit
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        return min(available, limit - used)
    return available


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory: Python's, a GPU's, or the one of torch's
    allocator for processors."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def give_back() -> None:
    """Hand what nothing refers to any more back to the system.

    A trainer, its optimiser and its model refer to each other in circles, which Python frees only when it
    looks for them; and a worker's allocator is told to keep what is freed, since generation asks for the same
    again at each token.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:  # then nothing large was ever here
        return
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc has no such function
        ctypes.CDLL(None).malloc_trim(0)


def forget_peak_memory() -> None:
    """Start counting anew: a worker runs many steps, and `ru_maxrss` only ever grows, even over `exec`."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Bytes resident at most: of this step on Linux, of this process elsewhere."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
