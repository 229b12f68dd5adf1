"""A web server to load: as many bytes as the path says, bodies taken, and everything that servers do wrong.

python -m tests.support.load_server ADDRESS [PEM]: prints its port. Paths: /bytes/N, /chunked/N, /until-close/N,
/http10/N, /status/N, /to/PATH (302), /to-other/PATH (307), /reset/N, /cut/N, /stall/N, /silent, /garbage, /slow-head,
/pause/N, /empty; a body is read and answered 200 whatever the path, but for /status, /early, /to-other and the faults.
"""

import socket
import ssl
import struct
import sys
import threading
import time
from contextlib import suppress

_BLOCK = bytes(range(256)) * 1024
_FOREVER_S = 3600.0


class Served(threading.Thread):
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(daemon=True)
        self._sock = sock

    def run(self) -> None:
        """Request after request."""
        with suppress(OSError), self._sock:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = self._sock.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                data = self._serve(head.decode("latin-1"), data)

    def _serve(self, head: str, data: bytes) -> bytes:
        method, path, _ = head.split("\r\n", maxsplit=1)[0].split(" ")
        kind, _, rest = path.lstrip("/").partition("/")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
        length = int(fields.get("content-length", "0"))
        if method == "GET":
            getattr(self, "do_" + kind.replace("-", "_"))(rest)
            return data
        return self._take(kind, rest, length, data)

    def _take(self, kind: str, rest: str, length: int, data: bytes) -> bytes:
        if kind in {"early", "status", "to-other", "silent", "garbage"}:
            getattr(self, "do_" + kind.replace("-", "_"))(rest)
            if kind == "early":
                self._sink()
            raise OSError
        most = int(rest) if kind in {"reset", "stall"} else length
        left, view = min(length, most) - len(data), memoryview(bytearray(262144))
        while left > 0:
            came = self._sock.recv_into(view, min(left, 262144))
            if not came:
                raise OSError
            left -= came
        if most < length:
            getattr(self, "do_" + kind)("0")
        self._say("200 OK", "Content-Length: 2", body=b"ok")
        return b""

    def _sink(self) -> None:
        while self._sock.recv(65536):
            pass

    def _say(self, status: str, *fields: str, body: bytes = b"", version: str = "1.1") -> None:
        head = "".join(f"{line}\r\n" for line in (f"HTTP/{version} {status}", *fields, ""))
        self._sock.sendall(head.encode() + body)

    def _pour(self, size: int) -> None:
        while size > 0:
            self._sock.sendall(_BLOCK[:size])
            size -= len(_BLOCK)

    def do_bytes(self, rest: str) -> None:
        """So many."""
        self._say("200 OK", f"Content-Length: {rest}")
        self._pour(int(rest))

    def do_pause(self, rest: str) -> None:
        """The same, after thinking for a while."""
        time.sleep(0.2)
        self.do_bytes(rest)

    def do_chunked(self, rest: str) -> None:
        """The same in chunks."""
        self._say("200 OK", "Transfer-Encoding: chunked")
        left = int(rest)
        while left > 0:
            part = _BLOCK[:left]
            self._sock.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            left -= len(part)
        self._sock.sendall(b"0\r\n\r\n")

    def do_until_close(self, rest: str) -> None:
        """The same, ended by closing."""
        self._say("200 OK")
        self._pour(int(rest))
        raise OSError

    def do_http10(self, rest: str) -> None:
        """The same, of another age."""
        self._say("200 OK", f"Content-Length: {rest}", version="1.0")
        self._pour(int(rest))
        raise OSError

    def do_status(self, rest: str) -> None:
        """A refusal."""
        self._say(f"{rest} No", "Content-Length: 0")

    def do_early(self, rest: str) -> None:
        """A refusal while the body still comes, which is read all the same."""
        self.do_status(rest)

    def do_to(self, rest: str) -> None:
        """Elsewhere, by GET."""
        self._say("302 Found", f"Location: /{rest}", "Content-Length: 0")

    def do_to_other(self, rest: str) -> None:
        """Elsewhere, by the same method."""
        self._say("307 Temporary Redirect", f"Location: /{rest}", "Content-Length: 0", "Connection: close")
        self._sock.shutdown(socket.SHUT_WR)
        self._sink()

    def do_reset(self, rest: str) -> None:
        """Some bytes, then a reset."""
        if int(rest):
            self._say("200 OK", "Content-Length: 99999999999")
            self._pour(int(rest))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise OSError

    def do_cut(self, rest: str) -> None:
        """Fewer bytes than said, then an end."""
        self._say("200 OK", "Content-Length: 99999999999")
        self._pour(int(rest))
        raise OSError

    def do_stall(self, rest: str) -> None:
        """Some bytes, then nothing."""
        if int(rest):
            self._say("200 OK", "Content-Length: 99999999999")
            self._pour(int(rest))
        time.sleep(_FOREVER_S)

    def do_silent(self, _: str) -> None:
        """Nothing at all."""
        time.sleep(_FOREVER_S)

    def do_garbage(self, _: str) -> None:
        """No HTTP."""
        self._sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    def do_slow_head(self, _: str) -> None:
        """A head that comes a letter at a time."""
        for letter in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
            self._sock.sendall(bytes((letter,)))
            time.sleep(0.05)

    def do_empty(self, _: str) -> None:
        """Nothing, with success."""
        self._say("204 No Content")


class LoadServer:
    """Serves in threads until closed; `port` is its own."""

    def __init__(self, host: str = "127.0.0.1", pem: str | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._settings = None
        if pem is not None:
            self._settings = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._settings.load_cert_chain(pem)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._secure, args=(sock,), daemon=True).start()

    def _secure(self, sock: socket.socket) -> None:
        with suppress(OSError):
            Served(self._settings.wrap_socket(sock, server_side=True) if self._settings else sock).run()

    def wait(self) -> None:
        """For ever."""
        self._thread.join()

    def __enter__(self) -> "LoadServer":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


if __name__ == "__main__":
    server = LoadServer(*sys.argv[1:])
    print(server.port, flush=True)
    server.wait()
