"""The two steps of a renewal that need `cryptography`, in a process that ends with it: `main(STEP, …)`."""

import base64
import os
import sys
from pathlib import Path

import msgspec

from fibrewatch.errors import FibrewatchError
from fibrewatch.files import Content, write_together
from fibrewatch.identity import RenewRequest
from fibrewatch_agent.identity import keys


def main(step: str, *arguments: str) -> None:
    """`ask AGENT FILE` prints a RenewRequest; `take AGENT FILE CA CERTIFICATE` puts the new certificate in place.

    FILE holds the key and certificate in force; the next key waits beside it until its certificate is there.
    """
    try:
        if step == "ask":
            _ask(*arguments)
        else:
            _take(*arguments)
    except (FibrewatchError, OSError) as e:
        sys.exit(str(e))


def _ask(agent: str, file: str) -> None:
    path = Path(file)
    in_force, fresh = path.read_bytes(), keys.new_key()
    text = keys.request(agent, fresh)
    _write(next_key(path), keys.key_pem(fresh), path)
    begin = in_force.index(b"-----BEGIN CERTIFICATE-----")
    made = RenewRequest(
        request=text, certificate=in_force[begin:].decode(), signature=keys.signature(keys.read_key(in_force), text)
    )
    print(msgspec.json.encode(made).decode())


def _take(agent: str, file: str, ca: str, certificate: str) -> None:
    path = Path(file)
    text, key = base64.b64decode(certificate), next_key(path).read_bytes()
    keys.check_certificate(text.decode(), Path(ca).read_text("ascii"), agent, keys.read_key(key))
    _write(path, key + text, path)
    next_key(path).unlink()


def next_key(path: Path) -> Path:
    """Where the next key waits."""
    return path.with_name(path.name + ".next")


def _write(path: Path, data: bytes, like: Path) -> None:
    """Ours is what was ours: the service's user writes as itself, root leaves the file to whom it belongs."""
    found = like.stat()
    owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
    write_together({path: Content(data, 0o600, owner)})
