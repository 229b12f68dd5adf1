"""dns: asks a resolver, or the system's in turn, for one name, and says what came back and when."""

import asyncio
import contextlib
import dataclasses
import ipaddress
import time
from pathlib import Path
from typing import NamedTuple

from fibrewatch.measurement import Error
from fibrewatch.results.dns import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net.sockets import Endpoint, family_of
from fibrewatch_agent.services import dns_message
from fibrewatch_agent.services.dns_exchange import Answered, Question, ask
from fibrewatch_agent.services.dns_message import Answer, MessageError
from fibrewatch_agent.traffic.amounts import Amount, Way
from fibrewatch_agent.traffic.amounts import tcp as tcp_traffic

RESOLV_CONF = Path("/etc/resolv.conf")
RESOLVES = False  # a target that is a name is the question
_MOST_RESOLVERS = 3  # as the C library, resolv.conf(5)
_MOST_ADDRESSES = 16
_FAILURES: dict[str, Error] = {"NXDOMAIN": "name_not_found", "REFUSED": "denied", "NOTAUTH": "denied"}


class _Task(NamedTuple):
    """Whom to ask for what; `name_is_target`: an address in the answer is the target's."""

    question: Question
    resolvers: tuple[str, ...]
    name_is_target: bool


async def dns(params: Params, box: Box) -> Result:
    """Asks until an answer comes.

    Raises:
        ProbeError: As `Findings.within`; for an answer's code name_not_found (NXDOMAIN), denied (REFUSED) or
            protocol; protocol as well when what is expected is not among the answers.
    """
    findings, end = Findings(Result), time.monotonic() + params.timeout_s
    async with findings.within(params.timeout_s):
        task = await _task(params, box, findings)
        began = time.monotonic()
        answered = await _answered(params, box, task, end, findings)
        answer = _read(answered)
        findings.note(lookup_time=time.monotonic() - began, **_figures(answer, answered))
        if task.name_is_target:
            box.resolved = next(iter(answer.a + answer.aaaa), None)
        _judge(answer, task.question, params.expect)
    return findings.result()


async def _task(params: Params, box: Box, findings: Findings[Result]) -> _Task:
    if params.name is None and box.address is None:
        raise ProbeError("name_not_found", "neither a name nor a target is configured")
    numeric = box.address is not None and _is_numeric(box.address)
    name_is_target = params.name is None and not numeric
    name = params.name or ("." if numeric else box.address or "")
    kind = params.type or ("NS" if name == "." else "A")
    question = Question(name, kind, recursion=params.recursion, udp_size=params.udp_size)
    question.written()  # a name that none can be asked for shows before anything is sent
    findings.step = "resolving the resolver's name"
    if not name_is_target and box.address is not None:
        return _Task(question, (await box.resolve(),), name_is_target)
    return _Task(question, await _resolvers(params, box), name_is_target)


async def _resolvers(params: Params, box: Box) -> tuple[str, ...]:
    if params.resolver is not None:
        return (await dataclasses.replace(box, address=params.resolver).resolve(),)
    found = system_resolvers(_text(RESOLV_CONF))
    usable = tuple(each for each in found if box.family in (None, family_of(each)))
    if not usable:
        raise ProbeError("unreachable", f"{RESOLV_CONF} names no resolver of IPv{box.family}")
    return usable


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


def system_resolvers(text: str) -> tuple[str, ...]:
    """The name servers of a resolv.conf(5), at most three; this host's own when it names none."""
    words = [line.split() for line in text.splitlines()]
    found = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver" and _is_numeric(line[1])]
    return tuple(found[:_MOST_RESOLVERS]) or ("127.0.0.1",)


async def _answered(params: Params, box: Box, task: _Task, end: float, findings: Findings[Result]) -> Answered:
    """Asks each of the resolvers in every round, as the C library; a question has its share of the time left."""

    async def attempt(number: int, resolver: str) -> Answered:
        findings.note(attempts=number, resolver=resolver)
        box.used_family = family_of(resolver)
        return await _attempt(params, task.question, Endpoint(resolver, params.port, box.interface), findings)

    *turns, last = task.resolvers * params.attempts
    questions = len(turns) + 1
    for number, resolver in enumerate(turns, 1):
        share_s = (end - time.monotonic()) / (questions - number + 1)
        with contextlib.suppress(OSError):  # a timeout is one as well
            async with asyncio.timeout(share_s):
                return await attempt(number, resolver)
    return await attempt(questions, last)


async def _attempt(params: Params, question: Question, to: Endpoint, findings: Findings[Result]) -> Answered:
    findings.step = f"asking {to} over {params.transport.upper()}"
    findings.note(transport=params.transport)
    answered = await ask(to, question, params.transport, findings.stray)
    truncated = _read(answered).truncated
    findings.note(truncated=truncated)
    if not (truncated and params.transport == "udp" and params.tcp_on_truncation):
        return answered
    findings.step = f"asking {to} over TCP, the answer over UDP being truncated"
    findings.note(transport="tcp")
    return await ask(to, question, "tcp", findings.stray)


def _read(answered: Answered) -> Answer:
    try:
        return dns_message.decode(answered.message)
    except MessageError as e:
        raise ProbeError("protocol", f"the answer can't be read: {e}") from e


def _figures(answer: Answer, answered: Answered) -> dict[str, object]:
    return {
        "response_time": answered.response_s,
        "stamps": answered.stamps,
        "rcode": answer.code,
        "code": answer.code_name,
        "answers": answer.records,
        "answers_a": len(answer.a),
        "answers_aaaa": len(answer.aaaa),
        "ttl_min": answer.ttl_min,
        "answer_size": len(answered.message),
        "addresses": (answer.a + answer.aaaa)[:_MOST_ADDRESSES],
    }


def _judge(answer: Answer, question: Question, expect: str | None) -> None:
    if answer.code:
        detail = f"{question.name} {question.kind}: {answer.code_name}"
        raise ProbeError(_FAILURES.get(answer.code_name, "protocol"), detail)
    if expect is None:
        return
    network = ipaddress.ip_network(expect, strict=False)
    if not any(ipaddress.ip_address(each) in network for each in answer.a + answer.aaaa):
        found = ", ".join((answer.a + answer.aaaa)[:_MOST_ADDRESSES]) or "no address"
        raise ProbeError("protocol", f"{question.name} {question.kind}: {expect} is not among the answers: {found}")


def _is_numeric(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def traffic(params: Params, way: Way) -> Amount:
    """A question, and an answer of two addresses, or of the root's servers with theirs.

    A resolver that is silent costs another question each time, up to `attempts` for each of the system's.
    """
    name = params.name or way.name or ""
    question = 12 + len(name) + (2 if name else 1) + 4 + (11 if params.udp_size else 0)
    answer = question + (32 if name else 480)
    if params.transport == "tcp":
        return tcp_traffic(way, question + 2, answer + 2)
    return Amount(way.udp(question), way.udp(answer), "about")
