"""`make deb`: the packages, each a self-contained Python tree of locked wheels, into dist/.

    python deploy/debian/build.py [--version V] [--quick] [PACKAGE_ARCHITECTURE …]

A tree serves the Pythons of Debian 12 and 13: what is compiled lies there for both. Wheels come from the index that
pip is told of; versions and hashes: the lock files beside this.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
PYTHONS = ("3.11", "3.13")
GLIBC = ("2_28", "2_24", "2_17")
"""Of manylinux tags; Debian 12 has 2.36."""
MACHINES = {"amd64": ("x86_64", 62), "arm64": ("aarch64", 183)}
"""Debian's architecture: the wheels' platform, and e_machine in ELF files (elf(5))."""
_DIFFERS = {"RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json"}
"""Of a wheel's own notes: not the same for each Python, and needed by none."""
_VERSION = re.compile(r'__version__ = "([^"]+)"')
EPOCH = 1_767_225_600  # 2026-01-01: the same input makes the same package


class Package(NamedTuple):
    """What is built.

    Attributes:
        commands: Programs and the module whose `main` they run.
        modules: Of our own, what it holds.
    """

    name: str
    architectures: tuple[str, ...]
    commands: dict[str, str]
    modules: tuple[str, ...]


PACKAGES = (
    Package(
        "fibrewatch-agent",
        ("amd64", "arm64"),
        {"fibrewatch-agent": "fibrewatch_agent.cli"},
        ("fibrewatch", "fibrewatch_agent"),
    ),
    Package(
        "fibrewatch-collector",
        ("amd64",),
        {"fibrewatch-collector": "fibrewatch_collector.cli", "fibrewatch": "fibrewatch_collector.operator.cli"},
        ("fibrewatch", "fibrewatch_agent", "fibrewatch_collector"),
    ),
)


class BuildError(Exception):
    """A package that can't be built."""


def main() -> int:
    """Builds what is asked for; all without names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", default=_own_version())
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--quick", action="store_true", help="packed less tightly: a minute less")
    parser.add_argument("wanted", nargs="*", metavar="PACKAGE_ARCHITECTURE")
    given = parser.parse_args()
    given.out.mkdir(exist_ok=True)
    all_ = {f"{package.name}_{each}": (package, each) for package in PACKAGES for each in package.architectures}
    if unknown := set(given.wanted) - all_.keys():
        print(f"build: no such package: {', '.join(sorted(unknown))} ({', '.join(all_)})", file=sys.stderr)
        return 2
    os.umask(0o022)  # a folder of mode 0700 would keep the service's user out
    for name in given.wanted or all_:
        try:
            print(build(*all_[name], given.version, given.out, quick=given.quick), flush=True)
        except (BuildError, subprocess.CalledProcessError) as e:
            print(f"build: {name}: {e}", file=sys.stderr)
            return 1
    return 0


def _own_version() -> str:
    text = (ROOT / "core/fibrewatch/__init__.py").read_text("utf-8")
    return _VERSION.findall(text)[0]


def build(package: Package, architecture: str, version: str, out: Path, *, quick: bool = False) -> Path:
    """One .deb."""
    with TemporaryDirectory(prefix="fibrewatch-deb-") as made:
        work, stage = Path(made), Path(made) / "stage"
        tree = stage / "usr/lib" / package.name
        _fill_tree(package, architecture, tree, work)
        _say_version(tree, version)
        _check_machines(tree, architecture)
        _compile_nothing(tree)
        _add_programs(package, stage)
        _add_services(package, stage)
        _add_documents(package, stage, version, work)
        _add_control(package, stage, architecture, version)
        _settle(stage)
        path = out / f"{package.name}_{version}_{architecture}.deb"
        packing = ("-Zgzip", "-z1") if quick else ("-Zxz",)
        argv = ["dpkg-deb", "--root-owner-group", *packing, "--build", str(stage), str(path)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)})
        return path


# ---- the tree of Python modules


def _fill_tree(package: Package, architecture: str, tree: Path, work: Path) -> None:
    tree.mkdir(parents=True)
    platform, _ = MACHINES[architecture]
    tags = [f"--platform=manylinux_{each}_{platform}" for each in GLIBC] + [f"--platform=manylinux2014_{platform}"]
    for python in PYTHONS:
        wheels, unpacked = work / f"wheels-{python}", work / f"tree-{python}"
        kind = [*tags, f"--python-version={python}", "--implementation=cp", "--only-binary=:all:", "--no-deps"]
        lock = HERE / f"{package.name.removeprefix('fibrewatch-')}.lock"
        _pip("download", "--require-hashes", "-r", str(lock), "-d", str(wheels), *kind)
        found = [str(each) for each in sorted(wheels.glob("*.whl"))]
        _pip("install", "--no-index", "--no-compile", "--target", str(unpacked), *kind, *found)
        _merge(unpacked, tree)
    for module in package.modules:
        side = {"fibrewatch": "core", "fibrewatch_agent": "agent", "fibrewatch_collector": "collector"}[module]
        shutil.copytree(ROOT / side / module, tree / module, ignore=shutil.ignore_patterns("__pycache__"))


def _say_version(tree: Path, version: str) -> None:
    """The program's own word is the package's."""
    path = tree / "fibrewatch/__init__.py"
    path.write_text(_VERSION.sub(f'__version__ = "{version}"', path.read_text("utf-8")), "utf-8")


def _pip(*arguments: str) -> None:
    argv = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"pip {arguments[0]}: {done.stderr.strip()[-600:]}")


def _merge(source: Path, tree: Path) -> None:
    """Adds what is new; a file that both Pythons have must be the same."""
    for path in _files(source):
        inner = path.relative_to(source)
        if inner.parts[0] == "bin" or inner.name in _DIFFERS or "sboms" in inner.parts:
            continue
        target = tree / inner
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        elif _digest(path) != _digest(target):
            raise BuildError(f"{inner} is not the same for Python {' and '.join(PYTHONS)}")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _check_machines(tree: Path, architecture: str) -> None:
    """Whatever file names say: every ELF file is of this machine (e_machine, elf(5))."""
    expected, count = MACHINES[architecture][1], 0
    for path in _files(tree):
        with path.open("rb") as file:
            head = file.read(20)
        if head[:4] == b"\x7fELF":
            count += 1
            if (found := struct.unpack_from("<H", head, 18)[0]) != expected:
                raise BuildError(f"{path.relative_to(tree)} is of machine {found}, not {expected}")
    if not count:
        raise BuildError("there is nothing compiled in it")


def _compile_nothing(tree: Path) -> None:
    """No .pyc is packed: those of one Python would be in the other's way."""
    if left := list(tree.rglob("__pycache__")):
        raise BuildError(f"{left[0]} was packed")


# ---- programs, services, documents


def _add_programs(package: Package, stage: Path) -> None:
    for command, module in package.commands.items():
        path = stage / "usr/bin" / command
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "#!/usr/bin/python3 -IS\n"
            f'import sys\n\nsys.dont_write_bytecode = True\nsys.path.insert(0, "/usr/lib/{package.name}")\n'
            f"from {module} import main  # noqa: E402\n\nsys.exit(main())\n"
        )
        path.chmod(0o755)


def _add_services(package: Package, stage: Path) -> None:
    for path in sorted((ROOT / "deploy/systemd" / package.name).iterdir()):
        folder = {".conf-sysusers": "usr/lib/sysusers.d", ".conf-tmpfiles": "usr/lib/tmpfiles.d"}.get(path.suffix)
        target = stage / (folder or "usr/lib/systemd/system") / (f"{path.stem}.conf" if folder else path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _add_documents(package: Package, stage: Path, version: str, work: Path) -> None:
    share = stage / "usr/share" / package.name
    share.mkdir(parents=True)
    shutil.copyfile(HERE / "backoff.conf", share / "backoff.conf")
    for name in EXAMPLES[package.name]:
        shutil.copyfile(ROOT / "deploy" / name, share / name)
    for extra in ("mosquitto", "prometheus", "alertmanager") if package.name.endswith("collector") else ():
        shutil.copytree(ROOT / "deploy" / extra, share / extra)
    doc = stage / "usr/share/doc" / package.name
    doc.mkdir(parents=True)
    (doc / "changelog.gz").write_bytes(_zipped(_CHANGES.format(package=package.name, version=version).encode()))
    (doc / "CHANGELOG.md.gz").write_bytes(_zipped((ROOT / "CHANGELOG.md").read_bytes()))
    overrides = stage / "usr/share/lintian/overrides" / package.name
    overrides.parent.mkdir(parents=True)
    overrides.write_text(_OVERRIDES.format(package=package.name))
    tree = stage / "usr/lib" / package.name
    (doc / "copyright").write_text((HERE / "copyright").read_text() + "".join(_licences(tree)))
    for command, module in package.commands.items():
        page = stage / "usr/share/man/man1" / f"{command}.1.gz"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(_zipped(_manual(command, module, version, work)))


_CHANGES = """{package} ({version}) stable; urgency=medium

  * What a user notices is in CHANGELOG.md.gz.

 -- fibrewatch <packages@fibrewatch.example>  Thu, 01 Jan 2026 00:00:00 +0000
"""


_OVERRIDES = """# As their makers built and published them: the lock files have their hashes.
{package}: unstripped-binary-or-object
{package}: embedded-library
"""


def _licences(tree: Path) -> Iterator[str]:
    """A paragraph for each bundled wheel: its licence, and where its text is.

    Raises:
        BuildError: One says nothing of it.
    """
    for folder in sorted(tree.glob("*.dist-info")):
        told = message_from_bytes((folder / "METADATA").read_bytes())
        classes = [each.rpartition(" :: ")[2] for each in told.get_all("Classifier", []) if each.startswith("License")]
        licence = told["License-Expression"] or " or ".join(classes) or str(told["License"] or "").partition("\n")[0]
        texts = [path for path in _files(folder) if _IS_LICENCE.match(path.name)]
        if not licence or not texts:
            raise BuildError(f"{folder.name} does not tell its licence")
        where = "".join(f"\n /{path.relative_to(tree.parents[2])}" for path in texts)
        yield f"\nFiles: {told['Name']} {told['Version']}\nLicense: {licence}\nComment:{where}\n"


_IS_LICENCE = re.compile(r"(?i)(licen[cs]e|copying|notice)")
EXAMPLES = {
    "fibrewatch-agent": ("agent.example.toml", "responder.example.toml", "radio-helper.example.toml"),
    "fibrewatch-collector": ("collector.example.toml", "sites.example.toml"),
}


def _manual(command: str, module: str, version: str, work: Path) -> bytes:
    """The man page, from the program's own --help by help2man(1), which calls it what its file is called."""
    path = ":".join(str(ROOT / each) for each in ("core", "agent", "collector"))
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "80", "SOURCE_DATE_EPOCH": str(EPOCH)}
    program = work / command
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
    program.chmod(0o755)
    argv = ["help2man", "--no-info", "--name", NAMES[command], "--version-string", version, "--no-discard-stderr"]
    done = subprocess.run([*argv, str(program)], capture_output=True, env=environment, check=False)
    if done.returncode:
        raise BuildError(f"help2man: {done.stderr.decode(errors='replace')[-400:]}")
    return done.stdout


NAMES = {
    "fibrewatch-agent": "measures a site's line from a box",
    "fibrewatch-collector": "keeps and judges what boxes measure",
    "fibrewatch": "reports, sites, enrolment and demo of fibrewatch",
}


def _zipped(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _add_control(package: Package, stage: Path, architecture: str, version: str) -> None:
    control = stage / "DEBIAN"
    control.mkdir()
    size = sum(path.stat().st_size for path in _files(stage)) // 1024
    text = (HERE / f"{package.name}.control").read_text()
    (control / "control").write_text(text.format(version=version, architecture=architecture, size=size))
    for script in ("postinst", "prerm", "postrm"):
        path = control / script
        text = (
            (HERE / script).read_text().replace("@PACKAGE@", package.name).replace("@UNITS@", " ".join(_units(package)))
        )
        path.write_text(text)
        path.chmod(0o755)


def _units(package: Package) -> list[str]:
    """The services, those first that start by themselves once they are configured."""
    return sorted(path.name for path in (ROOT / "deploy/systemd" / package.name).glob("*.service"))


def _settle(stage: Path) -> None:
    """Modes that everybody can read, times that tell nothing of when it was built."""
    for path in (stage, *stage.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
        elif path.parent.name != "DEBIAN" and path.parent != stage / "usr/bin":
            path.chmod(0o644)
        os.utime(path, (EPOCH, EPOCH))


if __name__ == "__main__":
    sys.exit(main())
