"""Asks a router for its counters until it is told to end; runs as a program of its own (gufo_snmp: v2c, v3).

Standard output gets a line for each exchange: a `wan.Sample` or a `wan.Complaint`.
"""

import fcntl
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping

import msgspec
from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    DesKey,
    Md5Key,
    NoSuchInstance,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpError,
    User,
)
from gufo.snmp.sync import SnmpSession

from fibrewatch_agent.line.config import RouterConfig
from fibrewatch_agent.line.snmp_order import Order
from fibrewatch_agent.line.wan import Complaint, Own, Sample
from fibrewatch_agent.net.counters import counters

_AUTH = {
    "md5": Md5Key,
    "sha": Sha1Key,
    "sha224": Sha224Key,
    "sha256": Sha256Key,
    "sha384": Sha384Key,
    "sha512": Sha512Key,
}
_PRIVACY = {"des": DesKey, "aes128": Aes128Key, "aes192": Aes192Key, "aes256": Aes256Key}

_UPTIME = "1.3.6.1.2.1.1.3.0"
_IF_DESCR = "1.3.6.1.2.1.2.2.1.2"
_IF_X = "1.3.6.1.2.1.31.1.1.1"  # ifXTable
_IF_NAME, _IF_ALIAS = f"{_IF_X}.1", f"{_IF_X}.18"
_HC_IN, _HC_OUT, _HIGH_SPEED, _DISCONTINUITY = f"{_IF_X}.6", f"{_IF_X}.10", f"{_IF_X}.15", f"{_IF_X}.19"
_IN, _OUT, _SPEED = "1.3.6.1.2.1.2.2.1.10", "1.3.6.1.2.1.2.2.1.16", "1.3.6.1.2.1.2.2.1.5"
_OPER_STATUS, _UP = "1.3.6.1.2.1.2.2.1.8", 1
_SIOCGIFMTU = 0x8921  # linux/sockios.h
_TIMEOUT_S, _REST_S = 2.0, 1.0


def main(order_fd: str) -> None:
    """Until killed; a wrong password, or an interface that never was there, ends it.

    Args:
        order_fd: The descriptor to read the order from.
    """
    with os.fdopen(int(order_fd), "rb") as handed:
        order, heard = msgspec.json.decode(handed.read(), type=Order), False
    while True:
        try:
            for sample in _samples(order):
                _tell(sample)
                heard = True
        except (SnmpAuthError, LookupError, ValueError) as e:
            _tell(Complaint(error="denied" if isinstance(e, SnmpAuthError) else "protocol", detail=str(e)))
            if not heard:
                return
        except (TimeoutError, BlockingIOError):
            where = f"{order.router.address}:{order.router.port}"
            _tell(Complaint(error="timeout", detail=f"SNMP: no answer from {where} in {_TIMEOUT_S:g} s"))
        except (SnmpError, NoSuchInstance, OSError) as e:
            _tell(Complaint(error="unreachable" if isinstance(e, OSError) else "protocol", detail=f"SNMP: {e}"))
        time.sleep(_REST_S)


def _tell(what: Sample | Complaint) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def _samples(order: Order) -> Iterator[Sample]:
    """Ends when the router started anew, or has this interface no more: it may have another number now."""
    with _session(order.router) as session:
        index = _index(session, order.router.wan)
        wide = _value(session.get_many([f"{_HC_IN}.{index}"]), f"{_HC_IN}.{index}") is not None
        mtu, uptime = _mtu(order.interface), None
        while True:
            began = time.monotonic()
            found = _sample(session, index, order.interface, mtu, wide=wide)
            if found is None and uptime is None:
                raise LookupError(f"the router has no counters of an interface {index}")
            if found is None or (uptime is not None and found.uptime < uptime):
                return
            uptime = found.uptime
            yield found
            time.sleep(max(0.0, began + order.every_s - time.monotonic()))


def _session(router: RouterConfig) -> SnmpSession:
    address = socket.getaddrinfo(router.address, router.port, type=socket.SOCK_DGRAM)[0][4][0]
    if router.user is None:
        return SnmpSession(str(address), router.port, community=router.community or "", timeout=_TIMEOUT_S)
    user = User(
        router.user,
        auth_key=_AUTH[router.auth]((router.auth_password or "").encode()),
        priv_key=_PRIVACY[router.privacy]((router.privacy_password or "").encode()),
    )
    return SnmpSession(str(address), router.port, user=user, timeout=_TIMEOUT_S)


def _index(session: SnmpSession, wan: str | int) -> int:
    """The ifIndex; it changes when a router starts anew, or its session does, so a name is looked up each time.

    Of several with one name, of which some are gone (net-snmp keeps them for five minutes), the newest that is up.

    Raises:
        LookupError: It has no such interface; says which it has.
    """
    if isinstance(wan, int):
        return wan
    known: list[str] = []
    for column in (_IF_NAME, _IF_DESCR, _IF_ALIAS):
        found: list[int] = []
        for oid, value in session.getbulk(column):
            name = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            known += [name] if column == _IF_NAME else []
            found += [int(oid.rsplit(".", 1)[1])] if name == wan else []
        if found:
            return max(found, key=lambda index: (_up(session, index), index))
    raise LookupError(f"the router has no interface {wan!r}; it has {', '.join(known[:20]) or 'none'}")


def _up(session: SnmpSession, index: int) -> bool:
    return _value(session.get_many([f"{_OPER_STATUS}.{index}"]), f"{_OPER_STATUS}.{index}") == _UP


def _sample(session: SnmpSession, index: int, interface: str, mtu: int, *, wide: bool) -> Sample | None:
    """None where the router has no such counters."""
    columns = (_HC_IN, _HC_OUT, _HIGH_SPEED, _DISCONTINUITY) if wide else (_IN, _OUT, _SPEED)
    began = time.monotonic()
    values = session.get_many([_UPTIME, *(f"{column}.{index}" for column in columns)])
    ended = time.monotonic()
    own = _own(interface)
    uptime = _value(values, _UPTIME)
    received, sent, speed = (_value(values, f"{column}.{index}") for column in columns[:3])
    if uptime is None or received is None or sent is None:
        return None
    return Sample(
        at=(began + ended) / 2,
        uptime=uptime,
        discontinuity=_value(values, f"{_DISCONTINUITY}.{index}") or 0,
        received=received,
        sent=sent,
        bits=64 if wide else 32,
        speed=(speed or 0) * (1e6 if wide else 1) / 8 or None,
        own=own,
        mtu=mtu,
    )


def _value(values: Mapping[str, object], oid: str) -> int | None:
    value = values.get(oid)
    return value if isinstance(value, int) else None


def _own(interface: str) -> Own:
    found = counters(interface)
    if found is None:
        raise LookupError(f"there is no interface {interface}")
    return Own(*found)


def _mtu(interface: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        answer = fcntl.ioctl(s, _SIOCGIFMTU, struct.pack("16si12x", interface.encode(), 0))
    return int(struct.unpack("16si12x", answer)[1])
