"""How far a station has come on its way onto a network, read from wpa_supplicant's events. Pure.

The words are wpa_supplicant 2.10's (wpa_ctrl.h, sme.c, events.c, wpa.c). A phase ends where the next begins.
"""

import re
from typing import Literal, NamedTuple

from fibrewatch.measurement import Error

Phase = Literal["scan", "authentication", "association", "eap", "handshake"]
PHASES: tuple[Phase, ...] = ("scan", "authentication", "association", "eap", "handshake")

_BSSID = re.compile(r"with ([0-9a-f:]{17}) .*freq=(\d+)")
_CONNECTED_TO = re.compile(r"Connection to ([0-9a-f:]{17}) completed")
_NUMBER = re.compile(r" (status_code|reason)=(\d+)")
_SILENT = "the authentication server does not answer"
_BUSY = {17, 30, 34}  # status codes: too many stations, try again later, bad conditions of the channel
_WRONG_KEY, _SAE_CONFIRM = {15}, "auth_type=3 auth_transaction=2"
"""Status code "challenge failure"; hostapd refuses SAE's second half with another one."""


class Event(NamedTuple):
    """What wpa_supplicant says unasked, without its level; `at` is the monotonic clock when it was said."""

    at: float
    text: str


class Failure(NamedTuple):
    """Why a phase failed."""

    phase: Phase
    error: Error
    detail: str


class Joining:
    """One way onto a network, begun at `began`.

    Attributes:
        begun: When each phase of the latest attempt began.
        ended: When the keys were there; None until then.
        connected: The access point that they are of.
        transition: Fast transition (§13) carried the keys over: there was no 4-way handshake.
        failure: What will not mend itself by trying again; None as long as it may come about.
        last: The latest mishap of any kind: the reason, should the time be over.
    """

    def __init__(self, began: float, *, eap: bool, keys: bool = True, ft: bool = False) -> None:
        """`ft`: it is a move within one mobility domain, with key management of fast transition (§13.5)."""
        self._began, self._eap, self._keys, self._ft = began, eap, keys, ft
        self.begun: dict[Phase, float] = {"scan": began}
        self.ended: float | None = None
        self.attempts = self.scans = 0
        self.bssid: str | None = None
        self.connected: str | None = None
        self.frequency: int | None = None
        self.status_code: int | None = None
        self.reason_code: int | None = None
        self.failure: Failure | None = None
        self.last: Failure | None = None
        self.furthest: Phase = "scan"
        self.eap_seen = self.transition = self._method = False
        self._certificate: str | None = None
        self._new_attempt = True

    @property
    def phase(self) -> Phase:
        """The one that it is in."""
        return max(self.begun, key=PHASES.index)

    def times(self) -> dict[str, float]:
        """Seconds of each phase that has ended."""
        marks = [(phase, self.begun[phase]) for phase in PHASES if phase in self.begun]
        ends = [*(at for _, at in marks[1:]), self.ended]
        return {phase: end - at for (phase, at), end in zip(marks, ends, strict=True) if end is not None}

    def take(self, event: Event) -> None:
        """What one event changes."""
        for beginning, change in self._changes:
            if event.text.startswith(beginning):
                getattr(self, change)(event)
                return

    _changes = (
        ("CTRL-EVENT-SCAN-RESULTS", "_scanned"),
        ("CTRL-EVENT-SCAN-FAILED", "_scan_failed"),
        ("SME: Trying to authenticate", "_authenticates"),
        ("Trying to associate", "_associates"),
        ("Associated with", "_associated"),
        ("CTRL-EVENT-EAP-STARTED", "_eap_started"),
        ("CTRL-EVENT-EAP-PROPOSED-METHOD", "_method_proposed"),
        ("CTRL-EVENT-EAP-TLS-CERT-ERROR", "_certificate_refused"),
        ("CTRL-EVENT-EAP-FAILURE", "_eap_failed"),
        ("CTRL-EVENT-EAP-SUCCESS", "_eap_succeeded"),
        ("WPA: 4-Way Handshake failed", "_handshake_failed"),
        ("CTRL-EVENT-AUTH-REJECT", "_rejected"),
        ("CTRL-EVENT-ASSOC-REJECT", "_rejected"),
        ("CTRL-EVENT-DISCONNECTED", "_disconnected"),
        ("CTRL-EVENT-CONNECTED", "_connected"),
    )

    def _enter(self, phase: Phase, at: float) -> None:
        """Those after it belong to an earlier attempt."""
        self.begun = {each: when for each, when in self.begun.items() if PHASES.index(each) < PHASES.index(phase)}
        self.begun[phase] = at
        self.furthest = max(self.furthest, phase, key=PHASES.index)

    def _scanned(self, event: Event) -> None:
        self.scans += 1
        self._new_attempt = True

    def _scan_failed(self, event: Event) -> None:
        self.last = Failure("scan", "tool_failed", event.text)

    def _authenticates(self, event: Event) -> None:
        """Said twice by SAE, whose exchange has two halves."""
        if self.phase == "authentication" and not self._new_attempt:
            return
        self._new_attempt = False
        self.attempts += 1
        self._note(event)
        self._enter("authentication", event.at)

    def _associates(self, event: Event) -> None:
        if "authentication" not in self.begun:  # the radio's firmware authenticates, or fast transition has
            self.attempts += 1
        self._note(event)
        self._enter("association", event.at)

    def _note(self, event: Event) -> None:
        if (found := _BSSID.search(event.text)) is not None:
            self.bssid, self.frequency = found[1], int(found[2])

    def _associated(self, event: Event) -> None:
        if self._keys:
            self._enter("eap" if self._eap else "handshake", event.at)

    def _eap_started(self, event: Event) -> None:
        self.eap_seen = True

    def _method_proposed(self, event: Event) -> None:
        self._method = True

    def _eap_succeeded(self, event: Event) -> None:
        self._enter("handshake", event.at)

    def _certificate_refused(self, event: Event) -> None:
        err = re.search(r"err='([^']*)'", event.text)
        self._certificate = f"the server's certificate is refused: {err[1] if err else event.text}"
        self._fail("eap", "tls", self._certificate)

    def _eap_failed(self, event: Event) -> None:
        if self._certificate is None:
            self._fail("eap", "denied", "the authentication server refuses the identity, password or certificate")

    def _handshake_failed(self, event: Event) -> None:
        self._fail("handshake", "denied", "4-way handshake failed: the passphrase may be wrong")

    def _rejected(self, event: Event) -> None:
        phase: Phase = "authentication" if "AUTH-REJECT" in event.text else "association"
        code = self.status_code = _number(event, "status_code")
        if code in _BUSY:
            self._fail(phase, "busy", f"the access point takes no more stations (status {code})")
        elif code in _WRONG_KEY or _SAE_CONFIRM in event.text:
            self._fail(phase, "denied", f"the access point refuses (status {code}): the passphrase may be wrong")
        else:
            self._fail(phase, "denied", f"the access point refuses (status {code})")

    def _disconnected(self, event: Event) -> None:
        """A mishap that wpa_supplicant mends by trying again; what it means depends on the phase."""
        self.reason_code = _number(event, "reason")
        self._new_attempt = True
        if self.phase == "scan" and self.attempts == 0:
            return
        by = "the station" if "locally_generated" in event.text else "the access point"
        self.last = Failure(self.phase, "denied", f"{by} ended it (reason {self.reason_code})")
        if self.phase == "eap" and self.eap_seen and "locally_generated" not in event.text:
            if self._method:
                self._eap_failed(event)
            else:
                self.last = Failure("eap", "timeout", f"{_SILENT}: the access point ended it ({self.reason_code})")

    def _connected(self, event: Event) -> None:
        self.transition = self._ft and not self.eap_seen and self.attempts == 1  # a second try agrees on all anew
        if self.transition:
            self.begun = {each: at for each, at in self.begun.items() if each not in ("eap", "handshake")}
        if self._eap and not self.eap_seen and "eap" in self.begun:
            self.begun["handshake"] = self.begun.pop("eap")  # known keys: there was no EAP at all
        found = _CONNECTED_TO.search(event.text)
        self.connected = found[1] if found else None
        self.ended = event.at

    def _fail(self, phase: Phase, error: Error, detail: str) -> None:
        self.last = Failure(phase, error, detail)
        self.failure = self.failure or self.last

    def given_up(self, limit_s: float) -> Failure:
        """The reason when its time is over."""
        if self.failure is not None:
            return self.failure
        if self.last is not None and self.last.phase == self.furthest:
            return self.last
        if self.furthest == "scan":
            return Failure("scan", "unreachable", f"not found in {self.scans} scans")
        silent = f"{_SILENT}: " if self.furthest == "eap" and self.eap_seen and not self._method else ""
        return Failure(self.furthest, "timeout", f"{silent}no end within {limit_s:g} s")


def reason_of(event: Event) -> int | None:
    """The reason code of a disconnection."""
    return _number(event, "reason")


def _number(event: Event, name: str) -> int | None:
    for found in _NUMBER.finditer(event.text):
        if found[1] == name:
            return int(found[2])
    return None
