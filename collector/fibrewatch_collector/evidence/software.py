"""What made a pack: the versions that shape its figures and its pages."""

import hashlib
import platform
from importlib import metadata
from pathlib import Path

from fibrewatch import __version__
from fibrewatch_collector.evidence.contents import Software
from fibrewatch_collector.report import page

_LIBRARIES = ("babel", "jinja2", "msgspec", "weasyprint")


def software() -> Software:
    """What is running here."""
    libraries = {name: metadata.version(name) for name in _LIBRARIES} | {"pages": _pages()}
    return Software(fibrewatch=__version__, python=platform.python_version(), libraries=libraries)


def _pages() -> str:
    """What shapes pages here: templates, words and code may change within a version, between two commits."""
    digest, folder = hashlib.sha256(), Path(page.__file__).parent
    for each in sorted(each for each in folder.rglob("*") if each.suffix in (".py", ".html", ".css", ".toml")):
        digest.update(each.relative_to(folder).as_posix().encode() + b"\0" + each.read_bytes())
    return digest.hexdigest()[:16]
