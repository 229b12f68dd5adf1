"""Keeps the process small: a box has 1 GiB or less, and the C library keeps what Python frees (mallopt(3))."""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from types import ModuleType

_M_ARENA_MAX = -8  # malloc.h
_libc = ctypes.CDLL(None)


def use_one_arena() -> None:
    """One heap for all threads, which Python's lock keeps apart anyway; before any thread is started."""
    if hasattr(_libc, "mallopt"):  # glibc's; musl has none
        _libc.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Returns to the kernel what starting up left over; what stays is no longer looked through for cycles."""
    gc.collect()
    gc.freeze()
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """What is imported meanwhile gets an empty module of that name, if it is not loaded yet; afterwards nobody does."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]
