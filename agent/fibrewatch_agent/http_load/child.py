"""A transfer over HTTP in a process of its own that ends with it: `main()` prints an Outcome."""

import math
import os
import resource
import signal
import sys
import threading
import time

import msgspec

from fibrewatch.results.throughput import Stopped
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.http_load.order import ORDER, Order, Outcome
from fibrewatch_agent.http_load.sockets import Payload
from fibrewatch_agent.http_load.stream import Stream, settings_fit
from fibrewatch_agent.transfer.end import Limits, pace_s
from fibrewatch_agent.transfer.steady import Rule, Sample
from fibrewatch_agent.transfer.verdict import SATURATED

_LOOK_S = 0.01
_RANDOM_BYTES = 1 << 20
_BEGIN_TIMEOUTS = 3
"""Connection, TLS and the answer's beginning may take `timeout` each; a server that lets bytes drip gets no more."""


class Transfer:
    """Some streams, and what is seen of them."""

    def __init__(self, order: Order) -> None:
        self._order, self._params = order, order.params
        payload = Payload.made(_RANDOM_BYTES) if order.params.direction == "up" else None
        self.streams = [Stream(order, payload) for _ in range(order.params.streams)]
        self._threads = [threading.Thread(target=stream.run, daemon=True) for stream in self.streams]
        rule = Rule(error=order.params.error, warm_up_s=order.params.omit_s) if order.params.early_stop else None
        self._limits = Limits(rule, order.params.max_bytes)
        self._every_s = pace_s(order.params.duration_s, judged=rule is not None)
        self.samples: list[Sample] = []
        self.enough = False
        self._cpu_s: list[float] = []

    def run(self) -> Outcome:
        """The whole of it."""
        for thread in self._threads:
            thread.start()
        outcome = Outcome()
        try:
            self._begin()
            outcome.stopped = self._flow()
        except ProbeError as e:
            outcome.error, outcome.detail = e.error, e.detail
        return self._told(outcome)

    def _begin(self) -> None:
        """Until each stream flows.

        Raises:
            ProbeError: One does not get so far.
        """
        began, steps = time.monotonic(), {stream: (stream.step, time.monotonic()) for stream in self.streams}
        while not all(stream.flows for stream in self.streams):
            time.sleep(_LOOK_S)
            self._raise_failure()
            now = time.monotonic()
            for stream in self.streams:
                if stream.step != steps[stream][0]:
                    steps[stream] = (stream.step, now)
                late = now - steps[stream][1] > self._params.timeout_s
                if not stream.flows and (late or now - began > self._params.timeout_s * _BEGIN_TIMEOUTS):
                    raise ProbeError("timeout", f"{stream.step}: nothing within {now - steps[stream][1]:.1f} s")

    def _flow(self) -> Stopped:
        """Looks on until it is time to end: why.

        Raises:
            ProbeError: A stream failed, or nothing moves any more.
        """
        self._cpu_s = self._cpu()
        end = time.monotonic() + self._params.duration_s + self._params.omit_s
        moved_at = time.monotonic()
        while True:
            before = self.samples[-1].bytes if self.samples else -1
            self._sample()
            self._raise_failure()
            now = time.monotonic()
            if self.samples[-1].bytes > before:
                moved_at = now
            if now - moved_at > self._params.timeout_s:
                raise ProbeError("timeout", f"{self.streams[0].step}: nothing moves for {self._params.timeout_s:g} s")
            why = self._why_end(now >= end)
            if why is not None:
                return why
            time.sleep(max(0.0, min(self._every_s, end - now)))

    def _why_end(self, over: bool) -> Stopped | None:
        if self.enough:
            return "tenants"
        return "duration" if over else self._limits.reached(self.samples)

    def _sample(self) -> None:
        seen = [stream.seen() for stream in self.streams]
        down = self._params.direction == "down"
        amounts = [(each.received, each.arrived) if down else (each.acked, each.delivered) for each in seen]
        totals = sum(each[0] for each in amounts), sum(each[1] for each in amounts)
        if not self.samples or totals[0] >= self.samples[-1].bytes:  # a connection that ends is missed for a moment
            self.samples.append(Sample(time.monotonic(), *totals))

    def _raise_failure(self) -> None:
        for stream in self.streams:
            if stream.failure is not None:
                raise stream.failure

    def _cpu(self) -> list[float]:
        """Seconds of each thread that lives, and of the process at the end."""
        clocks = [time.pthread_getcpuclockid(each.ident) for each in self._threads if each.ident and each.is_alive()]
        used = resource.getrusage(resource.RUSAGE_SELF)
        return [*(time.clock_gettime(clock) for clock in clocks), used.ru_utime + used.ru_stime]

    def _told(self, outcome: Outcome) -> Outcome:
        first = self.streams[0]
        outcome.samples = [(each.at_s, each.bytes, each.segments) for each in self.samples]
        outcome.address, outcome.location, outcome.redirects = first.address, first.location, first.redirects
        outcome.connect_s, outcome.tls_s, outcome.first_byte_s = first.connect_s, first.tls_s, first.first_byte_s
        outcome.status = next((each.status for each in self.streams if each.status is not None), None)
        outcome.requests = sum(each.requests for each in self.streams)
        outcome.waited_s = sum(each.waited_s for each in self.streams)
        seen = [stream.seen() for stream in self.streams]
        least = min(each.rtt_min_s for each in seen)
        outcome.rtt_min_s = least if least < math.inf else None
        outcome.retransmits = sum(each.retransmits for each in seen)
        outcome.congestion = self._order.congestion
        self._tell_cpu(outcome)
        return outcome

    def _tell_cpu(self, outcome: Outcome) -> None:
        now = self._cpu()
        if not self._cpu_s or len(now) != len(self._cpu_s) or len(self.samples) < 2:
            return
        took = self.samples[-1].at_s - self.samples[0].at_s
        *threads, outcome.cpu = [(after - before) / took for before, after in zip(self._cpu_s, now, strict=True)]
        together = SATURATED * min(os.cpu_count() or 1, len(self.streams))
        outcome.saturated = max(threads, default=0.0) >= SATURATED or outcome.cpu >= together


def main() -> None:
    """Does what the order in the environment says and prints what came of it."""
    order = msgspec.json.decode(os.environ[ORDER], type=Order)
    try:
        settings_fit(order.params)
        transfer = Transfer(order)
        signal.signal(signal.SIGTERM, lambda *_: setattr(transfer, "enough", True))
        outcome = transfer.run()
    except ProbeError as e:
        outcome = Outcome(error=e.error, detail=e.detail)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
    sys.stdout.flush()
    os._exit(0)  # threads that wait for a server are not waited for
