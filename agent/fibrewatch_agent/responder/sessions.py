"""What the reflector remembers of its peers, bounded however many there are or pretend to be. Pure."""

import ipaddress
from collections.abc import Hashable
from typing import Generic, TypeVar

MOST_SESSIONS = 20_000
IDLE_S = 900.0
"""REFWAIT's default (RFC 5357 §4.2): a session that is silent for longer counts from 0 again."""
MOST_SOURCES = 20_000

V = TypeVar("V")


class Session:
    """One sender's stream: how many of its packets came, and when the last answered one's reply truly left.

    Attributes:
        next: The number of the next reply.
        before: Number and NTP time of the latest reply whose send stamp is known.
        used: When a packet last came, monotonic seconds.
    """

    __slots__ = ("before", "next", "used")

    def __init__(self) -> None:
        self.next = 0
        self.before: tuple[int, int] | None = None
        self.used = 0.0


class Bucket:
    """Tokens of one source.

    Attributes:
        used: When they were last counted, monotonic seconds.
    """

    __slots__ = ("tokens", "used")

    def __init__(self, tokens: float) -> None:
        self.tokens, self.used = tokens, 0.0


class _Recent(Generic[V]):
    """A dict whose least recently used entry goes when there are too many; idle ones go as others come."""

    def __init__(self, most: int, idle_s: float) -> None:
        self._most, self._idle_s = most, idle_s
        self._entries: dict[Hashable, V] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, key: Hashable) -> V | None:
        """The entry, out of the dict until it is put back."""
        return self._entries.pop(key, None)

    def put(self, key: Hashable, value: V) -> None:
        """Puts it in as the most recently used."""
        self._entries[key] = value
        if len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]


class Sessions(_Recent[Session]):
    """Sessions by address, port and session id."""

    def __init__(self, most: int = MOST_SESSIONS, idle_s: float = IDLE_S) -> None:
        super().__init__(most, idle_s)

    def use(self, key: Hashable, now: float) -> Session:
        """The session of a packet that came now."""
        session = self.take(key)
        if session is None or now - session.used > self._idle_s:
            session = Session()
        session.used = now
        self.put(key, session)
        return session


class Limiter(_Recent[Bucket]):
    """A token bucket for each source: `rate` packets a second, and `burst` at once."""

    def __init__(self, rate: float, burst: float, most: int = MOST_SOURCES) -> None:
        super().__init__(most, IDLE_S)
        self._rate, self._burst = rate, burst

    def allows(self, source: Hashable, now: float) -> bool:
        """Whether a packet that came now may be answered."""
        bucket = self.take(source) or Bucket(self._burst)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.used) * self._rate)
        bucket.used = now
        self.put(source, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


class Prefixes:
    """Networks that a source may be in; remembers the last answers, since the same few sources ask all the time."""

    def __init__(self, networks: tuple[str, ...], most: int = 4096) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]
        self._known: dict[str, bool] = {}
        self._most = most

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            number = ipaddress.ip_address(address.partition("%")[0])
            known = any(number in network for network in self._networks)
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[address] = known
        return known
