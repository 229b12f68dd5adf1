"""A certificate authority of the openssl tool, for servers that tests run themselves."""

import subprocess
from pathlib import Path

_CONFIG = """
[ca]
default_ca = box
[box]
dir = {folder}
database = $dir/index
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
rand_serial = yes
copy_extensions = copy
unique_subject = no
policy = any
[any]
organizationName = optional
commonName = optional
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Signs certificates; `pem` is its own."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        self.folder, self.pem = folder, folder / "ca.pem"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index").touch()
        (folder / "ca.cnf").write_text(_CONFIG.format(folder=folder))
        self._openssl(
            "req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", f"/CN={name}"
        )

    def certificate(
        self,
        name: str,
        *,
        subject: str = "/O=Cargo/CN=localhost",
        names: str = "DNS:localhost,IP:127.0.0.1,IP:::1",
        start: str = "20200101000000Z",
        end: str = "20450101000000Z",
    ) -> Path:
        """A PEM file with certificate and key, valid between two times."""
        request = ("-subj", subject, "-addext", f"subjectAltName={names}")
        self._openssl("req", "-new", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", *request)
        dates = ("-startdate", start, "-enddate", end)
        self._openssl(
            "ca", "-batch", "-notext", "-config", "ca.cnf", "-in", f"{name}.csr", "-out", f"{name}.crt", *dates
        )
        path = self.folder / f"{name}.pem"
        path.write_text((self.folder / f"{name}.crt").read_text() + (self.folder / f"{name}.key").read_text())
        return path

    def revoke(self, *names: str) -> Path:
        """The list of all that was revoked so far."""
        for name in names:
            self._openssl("ca", "-config", "ca.cnf", "-revoke", f"{name}.crt")
        self._openssl("ca", "-gencrl", "-config", "ca.cnf", "-crldays", "30", "-out", "crl.pem")
        return self.folder / "crl.pem"

    def _openssl(self, *argv: str) -> None:
        subprocess.run(("openssl", *argv), cwd=self.folder, check=True, capture_output=True, timeout=60)
