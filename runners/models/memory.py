"""Memory: free bytes, peak usage, and freeing what is no longer used."""

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from typing import Any

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: str) -> int:
    """Return the free memory of a device (`cuda` or `cpu`): of the machine, or of this process's
    container."""
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
    """Test whether an error says that memory was exhausted: Python's, a GPU's, or torch's on a CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def give_back() -> None:
    """Return unreferenced memory to the system.

    A trainer, its optimiser and its model form reference cycles, which only the garbage collector frees; and
    a worker's allocator is configured to keep freed memory, since generation needs it again at each token.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:  # nothing large was allocated
        return
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with contextlib.suppress(AttributeError, OSError):  # only glibc has this function
        ctypes.CDLL(None).malloc_trim(0)


def give_back_unused() -> None:
    """Return freed blocks to the system where the allocator keeps more of them than the machine has left.

    For training: each batch has another length, so that logits of a large vocabulary seldom fit into a block
    that an earlier one left, and a process grows by them. To return each block as it is freed, or all of them
    after each batch, took a third of the time.
    """
    libc = ctypes.CDLL(None)
    mallinfo = getattr(libc, "mallinfo2", None)  # only glibc has it
    if mallinfo is None:
        return
    mallinfo.restype = _Mallinfo
    if mallinfo().fordblks > free_bytes("cpu"):
        libc.malloc_trim(0)


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of malloc.h; `fordblks` are the bytes in free blocks, of all arenas."""

    _fields_ = [
        ("before", ctypes.c_size_t * 8),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    ]


def forget_peak_memory() -> None:
    """Reset the peak: a worker runs many steps, and `ru_maxrss` only grows, even over `exec`."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Return the peak resident bytes: of this step on Linux, of this process elsewhere."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
