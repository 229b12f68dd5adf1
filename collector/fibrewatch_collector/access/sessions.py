"""Browsers that signed in: in memory, bounded, each bound to the token that it was opened with. Pure but for chance."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

MOST = 1000


class Sessions:
    """Kept by the hash of what the cookie holds; a restart of the collector ends them all."""

    def __init__(self, lasts_s: float, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self.lasts_s, self._most, self._clock = lasts_s, most, clock
        self._kept: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def open(self, token_id: str) -> str:
        """A session; what its cookie holds."""
        cookie = secrets.token_urlsafe(32)
        self._kept[_hash(cookie)] = token_id, self._clock() + self.lasts_s
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return cookie

    def token(self, cookie: str) -> str | None:
        """The id of the token that it was opened with."""
        key = _hash(cookie)
        token_id, until = self._kept.get(key, ("", 0.0))
        if self._clock() < until:
            return token_id
        self._kept.pop(key, None)
        return None

    def close(self, cookie: str) -> None:
        """Signs out."""
        self._kept.pop(_hash(cookie), None)


def _hash(cookie: str) -> bytes:
    """Looked up by a hash, a guess tells nothing by the time it takes."""
    return hashlib.sha256(cookie.encode(errors="replace")).digest()
