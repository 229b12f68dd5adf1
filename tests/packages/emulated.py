"""Programs for aarch64 on this machine: qemu's user-mode emulation, by the kernel's binfmt_misc for the time."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packages.tree import CACHE

BINFMT = Path("/proc/sys/fs/binfmt_misc")
NAME = "fibrewatch-aarch64"
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
"""A 64-bit little-endian ELF file of machine 183, a program or a shared object (elf(5))."""


@contextmanager
def aarch64_is_understood() -> Iterator[None]:
    """The kernel hands such programs to qemu, in chroots too (F: opened now); what is there already is used."""
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(BINFMT)], check=True)
    if any("aarch64" in each.name for each in BINFMT.iterdir()):
        yield
        return
    (BINFMT / "register").write_text(f":{NAME}:M::{MAGIC}:{MASK}:{_qemu()}:F")
    try:
        yield
    finally:
        (BINFMT / NAME).write_text("-1")


def _qemu() -> Path:
    """Debian's static build, unpacked and not installed: its package would change this machine's kernel for good."""
    folder = CACHE / "qemu-user-static"
    program = folder / "usr/bin/qemu-aarch64-static"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "qemu-user-static"], cwd=folder, check=True, capture_output=True)
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
        package.unlink()
    return program
