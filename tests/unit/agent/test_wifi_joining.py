"""wpa_supplicant's words, as recorded on virtual radios (version 2.10), and what they are read as."""

import pytest

from fibrewatch_agent.radio_helper.points import elsewhere, mobility_domain, points, printed
from fibrewatch_agent.wifi.joining import Event, Joining

AP = "02:00:00:00:01:00"
SCAN = "CTRL-EVENT-SCAN-RESULTS "
AUTH = f"SME: Trying to authenticate with {AP} (SSID='fibre' freq=2437 MHz)"
ASSOC = f"Trying to associate with {AP} (SSID='fibre' freq=2437 MHz)"
ASSOCIATED = f"Associated with {AP}"
KEYS = f"WPA: Key negotiation completed with {AP} [PTK=CCMP GTK=CCMP]"
CONNECTED = f"CTRL-EVENT-CONNECTED - Connection to {AP} completed [id=0 id_str=]"
EAP_STARTED = "CTRL-EVENT-EAP-STARTED EAP authentication started"
EAP_DONE = "CTRL-EVENT-EAP-SUCCESS EAP authentication completed successfully"


def joined(*texts: str, eap: bool = False, keys: bool = True) -> Joining:
    """What comes of events a second apart, the first one a second after the start."""
    joining = Joining(0.0, eap=eap, keys=keys)
    for at, text in enumerate(texts, 1):
        joining.take(Event(float(at), text))
    return joining


def test_each_phase_ends_where_the_next_begins() -> None:
    joining = joined(SCAN, AUTH, ASSOC, ASSOCIATED, KEYS, CONNECTED)
    assert joining.times() == {"scan": 2, "authentication": 1, "association": 1, "handshake": 2}
    assert (joining.ended, joining.attempts, joining.bssid, joining.frequency) == (6, 1, AP, 2437)


def test_sae_says_twice_that_it_authenticates() -> None:
    joining = joined(SCAN, AUTH, AUTH, ASSOC, ASSOCIATED, CONNECTED)
    assert joining.times()["authentication"] == 2
    assert joining.attempts == 1


def test_eap_stands_between_association_and_handshake() -> None:
    joining = joined(SCAN, AUTH, ASSOC, ASSOCIATED, EAP_STARTED, EAP_DONE, CONNECTED, eap=True)
    assert joining.times() == {"scan": 2, "authentication": 1, "association": 1, "eap": 2, "handshake": 1}


def test_known_keys_spare_eap() -> None:
    joining = joined(AUTH, ASSOC, ASSOCIATED, KEYS, CONNECTED, eap=True)
    assert joining.times() == {"scan": 1, "authentication": 1, "association": 1, "handshake": 2}


def test_open_network_has_no_handshake() -> None:
    assert joined(SCAN, AUTH, ASSOC, ASSOCIATED, CONNECTED, keys=False).times() == {
        "scan": 2,
        "authentication": 1,
        "association": 2,
    }


def test_radio_that_authenticates_by_itself_shows_no_authentication() -> None:
    joining = joined(SCAN, ASSOC, ASSOCIATED, CONNECTED)
    assert joining.times() == {"scan": 2, "association": 1, "handshake": 1}
    assert joining.attempts == 1


def test_second_attempt_s_times_count_and_the_first_is_before_it() -> None:
    gone = f"CTRL-EVENT-DISCONNECTED bssid={AP} reason=3 locally_generated=1"
    joining = joined(SCAN, AUTH, gone, SCAN, AUTH, ASSOC, ASSOCIATED, CONNECTED)
    assert joining.attempts == 2
    assert joining.times() == {"scan": 5, "authentication": 1, "association": 1, "handshake": 1}
    assert joining.failure is None


FAILURES = {
    "psk": (
        [SCAN, AUTH, ASSOC, ASSOCIATED, "WPA: 4-Way Handshake failed - pre-shared key may be incorrect"],
        ("handshake", "denied"),
    ),
    "sae": (
        [SCAN, AUTH, AUTH, f"CTRL-EVENT-AUTH-REJECT {AP} auth_type=3 auth_transaction=2 status_code=1"],
        ("authentication", "denied"),
    ),
    "full": (
        [SCAN, AUTH, f"CTRL-EVENT-AUTH-REJECT {AP} auth_type=0 auth_transaction=2 status_code=17"],
        ("authentication", "busy"),
    ),
    "association": (
        [SCAN, AUTH, ASSOC, f"CTRL-EVENT-ASSOC-REJECT bssid={AP} status_code=17"],
        ("association", "busy"),
    ),
    "rates": (
        [SCAN, AUTH, ASSOC, f"CTRL-EVENT-ASSOC-REJECT bssid={AP} status_code=18"],
        ("association", "denied"),
    ),
    "certificate": (
        [
            *(SCAN, AUTH, ASSOC, ASSOCIATED, EAP_STARTED),
            "CTRL-EVENT-EAP-TLS-CERT-ERROR reason=1 depth=1 subject='/CN=x' err='self-signed certificate'",
            "CTRL-EVENT-EAP-FAILURE EAP authentication failed",
        ],
        ("eap", "tls"),
    ),
    "password": (
        [
            *(SCAN, AUTH, ASSOC, ASSOCIATED, EAP_STARTED),
            "CTRL-EVENT-EAP-FAILURE EAP authentication failed",
        ],
        ("eap", "denied"),
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_is_that_of_its_phase(name: str) -> None:
    texts, expected = FAILURES[name]
    failure = joined(*texts, eap=name in ("certificate", "password")).failure
    assert failure is not None
    assert (failure.phase, failure.error) == expected


UNFINISHED = {
    "nothing": ([], ("scan", "unreachable", "not found in 0 scans")),
    "not there": ([SCAN, SCAN], ("scan", "unreachable", "not found in 2 scans")),
    "no answer": ([SCAN, AUTH], ("authentication", "timeout", "no end within 9 s")),
    "ended": (
        [SCAN, AUTH, ASSOC, ASSOCIATED, f"CTRL-EVENT-DISCONNECTED bssid={AP} reason=23"],
        ("handshake", "denied", "the access point ended it (reason 23)"),
    ),
    "half-way again": (
        [SCAN, AUTH, ASSOC, ASSOCIATED, f"CTRL-EVENT-DISCONNECTED bssid={AP} reason=2", SCAN, AUTH],
        ("handshake", "denied", "the access point ended it (reason 2)"),
    ),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_who_does_not_arrive_in_time_failed_where_it_came_furthest(name: str) -> None:
    texts, expected = UNFINISHED[name]
    joining = joined(*texts)
    assert joining.failure is None
    assert tuple(joining.given_up(9)) == expected


AWAY = "02:00:00:00:02:00"
MOVED = [text.replace(AP, AWAY) for text in (AUTH, ASSOC, ASSOCIATED, KEYS, CONNECTED)]


def moved(*texts: str, eap: bool = False) -> Joining:
    """As `joined`, from another access point of one mobility domain."""
    joining = Joining(0.0, eap=eap, ft=True)
    for at, text in enumerate(texts, 1):
        joining.take(Event(float(at), text))
    return joining


@pytest.mark.parametrize("eap", [False, True])
def test_fast_transition_has_neither_eap_nor_a_handshake(eap: bool) -> None:
    joining = moved(*MOVED, eap=eap)
    assert joining.transition
    assert joining.times() == {"scan": 1, "authentication": 1, "association": 3}
    assert (joining.connected, joining.bssid) == (AWAY, AWAY)


def test_a_move_with_the_whole_exchange_is_no_fast_transition() -> None:
    assert not moved(*MOVED[:3], EAP_STARTED, EAP_DONE, *MOVED[3:], eap=True).transition
    assert not joined(*MOVED).transition
    assert not moved(MOVED[0], f"CTRL-EVENT-DISCONNECTED bssid={AWAY} reason=2", SCAN, *MOVED).transition
    assert joined(*MOVED).times()["handshake"] == 2


PROPOSED = "CTRL-EVENT-EAP-PROPOSED-METHOD vendor=0 method=25"


def test_an_authentication_server_that_is_silent_is_told_from_one_that_refuses() -> None:
    silent = joined(SCAN, AUTH, ASSOC, ASSOCIATED, EAP_STARTED, eap=True).given_up(20)
    assert silent == ("eap", "timeout", "the authentication server does not answer: no end within 20 s")
    ended = f"CTRL-EVENT-DISCONNECTED bssid={AP} reason=23"
    apart = joined(SCAN, AUTH, ASSOC, ASSOCIATED, EAP_STARTED, ended, eap=True)
    assert apart.failure is None, "another try may reach it"
    assert apart.given_up(20)[:2] == ("eap", "timeout")
    refused = joined(SCAN, AUTH, ASSOC, ASSOCIATED, EAP_STARTED, PROPOSED, ended, eap=True)
    assert refused.given_up(20)[:2] == ("eap", "denied")


BSS = "id=1\nbssid=02:00:00:00:02:00\nfreq=2462\n{}flags=[ESS]\n"


def test_the_mobility_domain_is_read_from_the_elements() -> None:
    assert mobility_domain(BSS.format("ie=00056669627265" + "3603a1b200" + "0b05010000127a\n")) == b"\xa1\xb2"
    for other in ("ie=00056669627265\n", "ie=3602a1b2\n", "ie=3603a1\n", "ie=xyz\n", "ie=\n", ""):
        assert mobility_domain(BSS.format(other)) is None, other


def test_who_is_back_at_the_old_access_point_says_so() -> None:
    joining = moved(
        *MOVED[:2], f"CTRL-EVENT-DISCONNECTED bssid={AWAY} reason=2", AUTH, ASSOC, ASSOCIATED, KEYS, CONNECTED
    )
    assert (joining.connected, joining.failure) == (AP, None)


SCAN_RESULTS = (
    "bssid / frequency / signal level / flags / ssid\n"
    "02:00:00:00:01:00\t2437\t-40\t[WPA2-PSK+FT/PSK-CCMP][ESS]\tfibre\n"
    "02:00:00:00:02:00\t2462\t-60\t[WPA2-PSK+FT/PSK-CCMP][ESS]\tfibre\n"
    "02:00:00:00:03:00\t2412\t-50\t[WPA2-PSK-CCMP][ESS]\tfibre\n"
    '02:00:00:00:04:00\t2412\t-20\t[ESS]\tcaf\\xc3\\xa9 \\\\ \\"\n'
    "02:00:00:00:05:00\t2412\t-30\t[ESS]\t\n"
    "02:00:00:00:06:00\t2412\t-75\t[WPA2-PSK+FT/PSK-CCMP][ESS]\tfar\n"
    "nonsense\n\t\t\t\t\n"
)


def test_where_a_station_would_move_to() -> None:
    heard = list(points(SCAN_RESULTS))
    assert len(heard) == 6
    found = elsewhere(heard, "fibre", AP)
    assert found is not None
    assert found.bssid == "02:00:00:00:02:00", "fast transition goes before a stronger signal"
    assert elsewhere(heard, "far", None) is None, "too weak to move to"
    assert elsewhere(heard, printed('café \\ "'.encode()), None) is not None
    assert elsewhere(heard, "elsewhere", None) is None


def test_names_are_printed_as_wpa_supplicant_prints_them() -> None:
    assert printed(b'a\x1b[31m\t\n\r\x00\xff"\\') == 'a\\e[31m\\t\\n\\r\\x00\\xff\\"\\\\'
