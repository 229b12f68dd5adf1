"""iperf3, the tool: how it is called, what its JSON says and what its error messages mean (read and tried with 3.12).

Its exit status tells nothing: with -J, 3.12 exits 0 even when it could not connect, and 1 or (from 3.19 on) 0 when it
was told to end. Only the JSON counts.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from fibrewatch.errors import ToolError
from fibrewatch.measurement import Error
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.child import Child, child

TOOL = "iperf3"
LARGEST_REPORT = 16 * 2**20
"""Bytes. 64 streams for 130 s, both ends' reports, are about 8 MiB."""

_MEANINGS: Sequence[tuple[str, Error]] = (
    ("server is busy", "busy"),
    ("connection refused", "refused"),
    ("no such device", "no_interface"),
    ("operation not permitted", "permission"),
    ("bind-to-device", "no_interface"),
    ("cannot assign requested address", "no_interface"),
    ("unreachable", "unreachable"),
    ("no route to host", "unreachable"),
    ("to server: invalid argument", "unreachable"),  # a blackhole route
    ("host is down", "unreachable"),
    ("network is down", "unreachable"),
    ("required key not available", "unreachable"),  # a WireGuard tunnel without its other end
    ("destination address required", "unreachable"),
    ("timed out", "timeout"),
    ("operation now in progress", "timeout"),  # what --connect-timeout ends with
    ("idle timeout", "timeout"),
    ("test authorization failed", "denied"),
    ("larger than server limit", "denied"),  # -s --server-bitrate-limit
    ("maximum permitted limit", "denied"),  # its longest test
    ("permission denied", "permission"),
    ("connection reset", "reset"),
    ("broken pipe", "reset"),
    ("closed unexpectedly", "reset"),
    ("server has terminated", "reset"),
    ("unknown control message", "protocol"),
    ("unable to receive", "protocol"),
    ("unable to send", "protocol"),
    ("unable to read from", "reset"),
    ("unable to write to", "reset"),
)
"""A part of the message, in lower case, and the error it stands for; the first that fits counts, so causes go first."""


Number = Annotated[float, Meta(ge=-1, le=2**53)] | None
"""A float, as everything is in cJSON, which writes null for NaN; of a size that a count can have; -1 for unknown."""


class Sum(Struct, frozen=True):
    """Bytes over a time, of one stream or of all; round-trip times in microseconds."""

    start: Number = None
    bytes: Number = None
    seconds: Number = None
    retransmits: Number = None
    omitted: bool = False
    min_rtt: Number = None
    mean_rtt: Number = None
    max_rtt: Number = None


class Interval(Struct, frozen=True):
    """One reporting interval, a second long but for the last."""

    sum: Sum


class Stream(Struct, frozen=True):
    """One stream at the end of the test."""

    sender: Sum = Sum()


class Cpu(Struct, frozen=True):
    """getrusage(2) over wall time, in percent of one core: `host` is who wrote the report, whichever way data went."""

    host_total: Number = None
    remote_total: Number = None


class End(Struct, frozen=True):
    """What is said when the test has ended; empty when an error ended it, but for an interrupt."""

    streams: list[Stream] = []
    sum_sent: Sum | None = None
    sum_received: Sum | None = None
    cpu_utilization_percent: Cpu = Cpu()
    sender_tcp_congestion: str | None = None


class Connection(Struct, frozen=True):
    """A stream's addresses."""

    local_host: str | None = None


class Start(Struct, frozen=True):
    """What is said before data flow."""

    version: str = ""
    connected: list[Connection] = []


class Report(Struct, frozen=True):
    """The JSON of one test from one end; the client's holds the server's when that runs with -J too."""

    start: Start = Start()
    intervals: list[Interval] = []
    end: End = End()
    error: str | None = None
    server_output_json: "Report | None" = None

    @property
    def sums(self) -> list[Sum]:
        """Each interval once: when a test breaks off, 3.12 tells the last one twice."""
        return list({(each.sum.start, each.sum.omitted): each.sum for each in self.intervals}.values())


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a test did not come to its end."""

    error: Error
    detail: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the tool; with a failure the report holds what was measured until then.

    Attributes:
        stopped: The caller had it ended before its time: the report has no word from the server.
    """

    report: Report
    failure: Failure | None = None
    stopped: bool = False


def parse(output: bytes) -> Report:
    """Reads what `iperf3 -J` printed.

    Raises:
        ProbeError: parse.
    """
    try:
        return msgspec.json.decode(output, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:  # the server's part is the server's word
        raise ProbeError("parse", f"{TOOL}: {e}") from e


def meaning(message: str) -> Error:
    """Which error of the fixed list a message of iperf3 stands for."""
    lower = message.lower()
    return next((error for part, error in _MEANINGS if part in lower), "tool_failed")


async def client(
    options: Sequence[str],
    deadline_s: float,
    look: Callable[[int], bool] = lambda _: False,
    every_s: float = 60.0,
    env: Mapping[str, str] | None = None,
) -> Run:
    """Runs one test with JSON output; past the deadline it is asked to end, then killed.

    Args:
        look: Called every `every_s` with the process id; the test is ended well once it returns True.
        env: As `child.child`: a password, say.

    Raises:
        ProbeError: Nothing was measured: timeout, tool_missing, tool_failed, parse.
    """
    try:
        async with child([TOOL, *options, "-J"], keep=LARGEST_REPORT, env=env) as process:
            end = await _ending(process, deadline_s, look, every_s)
            if end != "ended":
                await process.stop()
    except ToolError as e:
        raise ProbeError("tool_missing", str(e)) from e
    except OSError as e:
        raise ProbeError("tool_failed", f"{TOOL}: {e.strerror}") from e
    if process.overflowed:
        raise ProbeError("parse", f"{TOOL}: more than {LARGEST_REPORT} bytes of output")
    if end == "stopped":
        return _stopped(bytes(process.output))
    if end == "overdue":
        return _overdue(bytes(process.output), f"no end within {deadline_s:g} s")
    if not process.output.strip():
        raise ProbeError("tool_failed", f"{TOOL}: {_complaint(process)}")
    return conclude(bytes(process.output))


class _Looks:
    """Calls `look` at an even pace while its block runs, and ends a wait once that returns True.

    By the loop's timers: a timeout around many short waits costs four times as much CPU.
    """

    def __init__(self, look: Callable[[], bool], every_s: float, wait: asyncio.Timeout) -> None:
        self._look, self._every_s, self._wait = look, every_s, wait
        self._loop = asyncio.get_running_loop()
        self.stopped = False
        self.fault: Exception | None = None
        self._timer = self._loop.call_later(every_s, self._tick)

    def _tick(self) -> None:
        self._timer = self._loop.call_at(self._timer.when() + self._every_s, self._tick)
        try:
            self.stopped = self._look()
        except Exception as e:  # a fault in a timer's work must end the run with it
            self.fault = e
        if self.stopped or self.fault:
            self._timer.cancel()
            self._wait.reschedule(self._loop.time())

    def __enter__(self) -> "_Looks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()


async def _ending(
    process: Child, deadline_s: float, look: Callable[[int], bool], every_s: float
) -> Literal["ended", "stopped", "overdue"]:
    """How it comes to its end."""
    pid = process.transport.get_pid()
    try:
        async with asyncio.timeout(deadline_s) as wait:
            with _Looks(lambda: look(pid), every_s, wait) as looks:
                await process.wait()
    except TimeoutError:
        if looks.fault is not None:
            raise looks.fault from None
        return "stopped" if looks.stopped else "overdue"
    return "ended"


def _stopped(output: bytes) -> Run:
    """What the tool says after it was told to end; the watcher's figures stand without it."""
    try:
        return Run(parse(output), stopped=True)
    except ProbeError:
        return Run(Report(), stopped=True)


def conclude(output: bytes) -> Run:
    """What a test that ended by itself has brought.

    Raises:
        ProbeError: parse.
    """
    report = parse(output)
    return Run(report, Failure(meaning(report.error), report.error) if report.error else None)


def _overdue(output: bytes, detail: str) -> Run:
    """An interrupted iperf3 reports what it has; a killed one nothing."""
    failure = Failure("timeout", detail)
    try:
        return Run(parse(output), failure)
    except ProbeError as e:
        raise ProbeError(failure.error, failure.detail) from e


def _complaint(process: Child) -> str:
    lines = process.errors.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else f"exit status {process.transport.get_returncode()} without a word"
