"""Runs a command in the lab: a virtual machine of Debian's kernel on this machine's own files, read-only.

Software emulation only: a kernel of one's own needs no privilege that way, and /dev/kvm may be there and hang. Made by
`tests/lab/build`.
"""

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
NO_RESULT = 125
_START = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1
ip link set lo up
hostname lab
exec > /dev/hvc0 2>&1 < /dev/null
stty raw -F /dev/hvc0
cd {root}
bash /run/out/.command
echo $? > /run/out/.status
sync
busybox poweroff -f
"""


class Ran(NamedTuple):
    """What a command came to.

    Attributes:
        status: Exit status; 125 when the machine gave none before its time was over.
        output: Standard output and error, as they came.
        files: The folder that was /run/out in the machine.
    """

    status: int
    output: str
    files: Path


class LabError(AssertionError):
    """A command in the lab failed."""


def cache() -> Path:
    """Where `build` keeps the kernel, a folder for each version of itself."""
    given, home = os.environ.get("FIBREWATCH_LAB"), os.environ.get("XDG_CACHE_HOME")
    folder = Path(given) if given else (Path(home) if home else Path.home() / ".cache") / "fibrewatch" / "lab"
    made_by = b"".join((HERE / name).read_bytes() for name in ("build", "init"))
    return folder / hashlib.sha256(made_by).hexdigest()[:12]


def run(
    command: str | Sequence[str],
    files: Path,
    *,
    virtual_time: bool = False,
    timeout_s: float = 300,
    memory_mb: int = 1024,
    check: bool = True,
) -> Ran:
    """Boots the machine, runs a shell command in this checkout, and takes the machine down.

    Args:
        command: For bash, or the words of one command. It is root; all of this machine's files are there, what it
            writes is gone afterwards but for what it writes to /run/out.
        files: A folder for /run/out; what is in it is there.
        virtual_time: The clock counts instructions (a nanosecond each) and skips idle time, so that delays are exact
            whatever else this machine does. A wait for a file's data is idle time too: what is timed must be in memory.
        check: Raise LabError unless the exit status is 0.
    """
    text = command if isinstance(command, str) else shlex.join(command)
    files.mkdir(parents=True, exist_ok=True)
    (files / ".command").write_text(text + "\n", "utf-8")
    start = _START.format(root=shlex.quote(str(ROOT)))
    output = boot(start, files, virtual_time=virtual_time, timeout_s=timeout_s, memory_mb=memory_mb)
    status = _status(files / ".status")
    if check and status != 0:
        told = [(files / name).read_text("utf-8", "replace")[-2000:] for name in (".machine", ".console")]
        raise LabError("\n".join([f"exit status {status} in the lab of: {text}", output[-6000:], *told]))
    return Ran(status, output, files)


def _status(file: Path) -> int:
    try:
        return int(file.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return NO_RESULT


def boot(start: str, files: Path, *, virtual_time: bool, timeout_s: float, memory_mb: int) -> str:
    """What the machine says whose first process is a shell with that script; `timeout` ends it even if we are."""
    (files / ".start").write_text(start, "utf-8")
    argv = ["timeout", "-k", "5", f"{timeout_s:.0f}", *_machine(files, memory_mb)]
    if virtual_time:
        argv += ["-icount", "shift=0,sleep=off"]
    with (
        (files / ".machine").open("wb") as errors,
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as machine,
    ):
        try:
            output, _ = machine.communicate()
        finally:
            machine.terminate()
    return output.decode("utf-8", "replace")


def _machine(files: Path, memory_mb: int) -> list[str]:
    lab = cache()
    if not (lab / "made").exists():
        raise LabError(f"{lab}: no kernel there: run tests/lab/build")
    if (program := shutil.which("qemu-system-x86_64")) is None:
        raise LabError("qemu-system-x86_64 is not installed: deploy/set-up test")
    shared = {
        "hostroot": ("/", ",readonly=on,multidevs=remap"),
        "out": (files.resolve(), ""),
        "mods": (lab / "kernel/lib/modules", ",readonly=on"),
    }
    argv = [program, "-M", "q35", "-accel", "tcg", "-cpu", "Nehalem", "-smp", "1", "-m", str(memory_mb)]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-kernel", str(lab / "vmlinuz"), "-initrd", str(lab / "initramfs.gz")]
    argv += ["-append", "console=ttyS0 quiet panic=-1 mitigations=off audit=0 apparmor=0"]
    argv += ["-serial", f"file:{files / '.console'}", "-device", "virtio-serial-pci", "-device", "virtio-rng-pci"]
    argv += ["-chardev", "stdio,id=h,signal=off", "-device", "virtconsole,chardev=h"]
    for tag, (path, options) in shared.items():
        argv += ["-fsdev", f"local,id={tag},path={path},security_model=none{options}"]
        argv += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    return argv


def main() -> None:
    """The command line of tests/lab/run: the command's output and its exit status."""
    parser = argparse.ArgumentParser(prog="tests/lab/run", description=__doc__)
    parser.add_argument("--virtual-time", action="store_true", help="the clock skips idle time; delays are exact")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("--memory", type=int, default=1024, metavar="MB")
    parser.add_argument("--files", type=Path, help="folder that is /run/out in there; a new one unless given")
    parser.add_argument("command", help="for bash, as root, in this checkout")
    given = parser.parse_args()
    files = given.files or Path(tempfile.mkdtemp(prefix="fibrewatch-lab-"))
    ran = run(
        given.command,
        files,
        virtual_time=given.virtual_time,
        timeout_s=given.timeout,
        memory_mb=given.memory,
        check=False,
    )
    sys.stdout.write(ran.output)
    print(f"lab: exit status {ran.status}, files in {files}", file=sys.stderr)
    raise SystemExit(ran.status)


if __name__ == "__main__":
    main()
