"""Becomes another program that ends with its parent: `python -IS tether.py PARENT PROGRAM ARGUMENT …`.

A child of its own session outlives a parent that is killed with SIGKILL, unless the kernel was asked to tell it
(prctl(2), PR_SET_PDEATHSIG; it survives execve(2)). Asked here and not in a `preexec_fn`, which may deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Asks for SIGKILL at the parent's end, then executes the program.

    A SIGTERM that comes while it starts, or while it is busy, could be missed, and nobody is left to ask again.
    """
    parent, *argv = sys.argv[1:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):  # it ended before we asked
        raise SystemExit(1)
    os.execv(argv[0], argv)  # noqa: S606 - this is what it is for


if __name__ == "__main__":
    main()
