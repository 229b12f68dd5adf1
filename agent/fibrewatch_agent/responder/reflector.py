"""The STAMP session-reflector (RFC 8762, RFC 8972), stateful, in a process of its own.

It answers at most one packet to one, never longer than what came, and only so many a second to one source; it keeps
no more of anyone than `sessions` allows. T2 is the kernel's receive stamp; T3 is taken right before the send, and its
true value, the kernel's send stamp, is told with a later reply of the session (follow-up telemetry).
"""

import contextlib
import json
import logging
import os
import select
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from fibrewatch.errors import ConfigError
from fibrewatch_agent.clock import ClockState, kernel_clock
from fibrewatch_agent.net import stamps, udp
from fibrewatch_agent.responder.allow_file import AllowFile, read_prefixes
from fibrewatch_agent.responder.sessions import Limiter, Prefixes, Session, Sessions
from fibrewatch_agent.stamp import packets as stamp_packets
from fibrewatch_agent.stamp.key import read_key
from fibrewatch_agent.stamp.packets import AUTHENTICATED_BASE, SHORTEST_REQUEST, Arrival

log = logging.getLogger(__name__)

READY = b"ready\n"
_TURN = 256
_NICE = -10
_CLOCK_EVERY_S = 1.0
_LARGEST = 65535
_USER_PORTS = 1024
"""Lower ones are services': a packet that pretends to come from echo or another reflector would go round for ever."""
_MOST_AWAITED = 4096


class ReflectorConfig(Struct, frozen=True, kw_only=True):
    """Where and whom to answer.

    Attributes:
        hosts: Numeric addresses to bind, of either family.
        rate: Answers a second to one source address (v6: to one /64); burst: as many at once.
        allow: Prefixes that are answered; empty means all, unless there is an `allow_file`.
        allow_file: A file with more of them, see `allow_file`; it may change while the reflector runs.
        whole: Prefixes that get a whole reply to a shorter request: TWAMP Light senders of 14 bytes need it. To these,
            and these only, a reply may be longer than its request, 44 bytes at most.
        key_file: With a key only requests that are authenticated by it are answered.
    """

    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = stamp_packets.PORT
    rate: float = 500.0
    burst: float = 500.0
    allow: tuple[str, ...] = ()
    allow_file: str | None = None
    whole: tuple[str, ...] = ()
    key_file: str | None = None


def checked(config: ReflectorConfig) -> ReflectorConfig:
    """The configuration of a command line.

    Raises:
        ConfigError: What of it can't be, by its option.
    """
    if not 1 <= config.port <= 65535:
        raise ConfigError("", "--reflector-port", f"{config.port} is not a port")
    if config.rate < 1:
        raise ConfigError("", "--reflector-rate", f"{config.rate:g} is less than 1")
    for option, networks in (("--reflector-allow", config.allow), ("--reflector-whole", config.whole)):
        try:
            Prefixes(networks)
        except ValueError as e:
            raise ConfigError("", option, str(e)) from e
    for option, file, read in (
        ("--reflector-allow-file", config.allow_file, read_prefixes),
        ("--reflector-key", config.key_file, read_key),
    ):
        if file is not None:
            _check_file(option, file, read)
    return config


def _check_file(option: str, file: str, read: Callable[[Path], object]) -> None:
    try:
        read(Path(file))
    except OSError as e:
        raise ConfigError("", option, f"{file}: {e.strerror}") from e
    except ValueError as e:
        raise ConfigError("", option, str(e) if file in str(e) else f"{file}: {e}") from e


class Reflector:
    """Open sockets and the loop that serves them.

    Attributes:
        counts: What became of the packets, by reason.
    """

    def __init__(
        self,
        config: ReflectorConfig,
        key: bytes | None = None,
        *,
        clock: Callable[[], ClockState] = kernel_clock,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens the sockets.

        Raises:
            OSError: One can't be bound, or the file of allowed prefixes can't be read.
            ValueError: A line of that file is no prefix.
        """
        self._key, self._clock, self._now = key, clock, now
        self._allow, self._whole = Prefixes(config.allow), Prefixes(config.whole)
        self._allow_file = AllowFile(Path(config.allow_file)) if config.allow_file is not None else None
        self._limiter = Limiter(config.rate, config.burst)
        self._sessions = Sessions()
        self.counts: Counter[str] = Counter()
        self._estimate, self._estimated = 0, -_CLOCK_EVERY_S
        self._buffer = bytearray(_LARGEST)
        self._stopped = False
        with contextlib.ExitStack() as opened:
            self._ends = [_End(opened.enter_context(udp.open_socket(host, config.port))) for host in config.hosts]
            opened.pop_all()

    @property
    def ports(self) -> list[int]:
        """Where it listens."""
        return [end.sock.getsockname()[1] for end in self._ends]

    def close(self) -> None:
        """Closes the sockets."""
        for end in self._ends:
            end.sock.close()

    def stop(self) -> None:
        """Has `serve` return at the next wake-up."""
        self._stopped = True

    def serve(self, wake: int | None = None) -> None:
        """Answers until stopped.

        Args:
            wake: A descriptor that becomes readable when `stop` was called.
        """
        poll = select.poll()
        ends = {end.sock.fileno(): end for end in self._ends}
        for descriptor in (*ends, *(() if wake is None else (wake,))):
            poll.register(descriptor, select.POLLIN)
        while not self._stopped:
            for descriptor, _ in poll.poll():
                if descriptor in ends:
                    self.turn(ends[descriptor])
                elif wake is not None:
                    os.read(wake, 4096)

    def turn(self, end: "_End") -> None:
        """Answers what one socket holds, then learns when the replies truly left."""
        now = self._now()
        if now - self._estimated >= _CLOCK_EVERY_S:
            self._estimated, bound_s = now, self._clock().offset_bound_s
            self._estimate = stamp_packets.error_estimate(bound_s)
            if self._allow_file is not None:
                self._allow_file.look()
        end.learn()  # queued stamps make poll report the socket
        for _ in range(_TURN):
            if end.awaits:  # the next reply may be of the same session, and tell of the last
                end.learn()
            try:
                size, control, _, source = end.sock.recvmsg_into([self._buffer], udp.CONTROL_BYTES)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error about a reply; the call has cleared it
            self.counts["received"] += 1
            self.counts[self._handle(end, bytes(self._buffer[:size]), udp.came(control), source)] += 1
        end.learn()

    def _handle(self, end: "_End", data: bytes, how: udp.Came, source: tuple[str, int]) -> str:
        """Answers one packet, or says why not."""
        now, (address, port) = self._now(), source[:2]
        refusal = self._refusal(data, how, address, port, now)
        if refusal is not None:
            return refusal
        session = self._sessions.use((address, port, stamp_packets.session_of(data, self._key)), now)
        arrival = Arrival(
            number=session.next & 0xFFFFFFFF,
            received=stamp_packets.ntp_time(how.received_ns or time.time_ns()),
            estimate=self._estimate,
            ttl=how.ttl,
            dscp=how.tos >> 2,
            ecn=how.tos & 3,
            before=session.before,
        )
        session.next += 1
        reply, dscp = stamp_packets.reflect(data, arrival, self._key, whole=address in self._whole)
        control = [udp.mark(end.sock.family, dscp)]
        if how.reply_by is not None:
            control.append(how.reply_by)
        stamp_packets.set_sent(reply, stamp_packets.ntp_time(time.time_ns()), self._key)
        return end.send(reply, control, source, session, arrival.number)

    def _refusal(self, data: bytes, how: udp.Came, address: str, port: int, now: float) -> str | None:
        """Why a packet gets no answer; the cheap reasons first."""
        if len(data) < SHORTEST_REQUEST or not how.to_one:
            return "malformed"
        if port < _USER_PORTS:
            return "from_service_port"
        if not self._allowed(address):
            return "not_allowed"
        if not self._limiter.allows(_site(address), now):
            return "over_rate"
        if self._key is not None and (len(data) < AUTHENTICATED_BASE or not stamp_packets.is_signed(data, self._key)):
            return "not_authenticated"
        return None

    def _allowed(self, address: str) -> bool:
        if self._allow_file is not None and address in self._allow_file:
            return True
        everyone = not self._allow and self._allow_file is None
        return everyone or address in self._allow


class _End:
    """One socket and the replies whose send stamps are awaited."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._key = 0
        self._awaited: dict[int, tuple[Session, int]] = {}

    @property
    def awaits(self) -> bool:
        """Whether a send stamp is still to come."""
        return bool(self._awaited)

    def send(
        self,
        reply: bytearray,
        control: list[tuple[int, int, bytes]],
        to: tuple[str, int],
        session: Session,
        number: int,
    ) -> str:
        """Sends a reply; the word that it is counted by."""
        try:
            self.sock.sendmsg([reply], control, 0, to)
        except OSError as e:
            log.debug("reply not sent error=%s", e)
            self.learn()
            self._awaited.clear()
            with contextlib.suppress(OSError):  # a kernel without send stamps
                stamps.restart_keys(self.sock)
            self._key = 0
            return "send_failed"
        if len(self._awaited) < _MOST_AWAITED:
            self._awaited[self._key] = (session, number)
        else:
            self._awaited.clear()  # this kernel or card gives none
        self._key = (self._key + 1) & 0xFFFFFFFF
        return "answered"

    def learn(self) -> None:
        """Takes the queued send stamps: each goes out with a later reply of its session."""
        while (notice := stamps.read_error_queue(self.sock)) is not None:
            if isinstance(notice, stamps.SendStamp) and notice.key in self._awaited:
                session, number = self._awaited.pop(notice.key)
                session.before = (number, stamp_packets.ntp_time(notice.ns))


def _site(address: str) -> str | bytes:
    """What counts as one source: an IPv4 address, or the /64 that one host can take all of."""
    if ":" not in address:
        return address
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8]


def raise_priority() -> None:
    """Goes ahead of the rest where permitted (CAP_SYS_NICE); in real time a flood of packets would stop the host."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except OSError as e:
        log.debug("ordinary priority: %s", e.strerror)


def main() -> None:
    """The process: its configuration as JSON is the first argument; says READY once it answers, or why it can't."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        config = msgspec.json.decode(sys.argv[1], type=ReflectorConfig)
        key = None if config.key_file is None else read_key(Path(config.key_file))
        reflector = Reflector(config, key)
    except (OSError, ValueError) as e:
        print(getattr(e, "strerror", None) or e, flush=True)
        sys.exit(2)
    raise_priority()
    _serve(reflector)


def _serve(reflector: Reflector) -> None:
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: reflector.stop())
    signal.signal(signal.SIGUSR1, lambda *_: _tell(reflector))
    os.write(sys.stdout.fileno(), READY)
    try:
        reflector.serve(wake)
    finally:
        reflector.close()
    _tell(reflector)


def _tell(reflector: Reflector) -> None:
    log.info("reflector counts=%s", json.dumps(dict(sorted(reflector.counts.items()))))
