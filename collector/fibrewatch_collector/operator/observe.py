"""Whether the demo has shown what it shall: measurements of each of its probes, stored and in /metrics."""

from fibrewatch_collector.operator.api import Api

PROBES = ("ping", "throughput")
"""What the demo's box is told to run."""


async def missing(api: Api) -> list[str]:
    """What is not there, a few words each; nothing when all is.

    Raises:
        ApiError: The collector does not answer.
    """
    page = (await api.text("/metrics")).splitlines()
    problems = []
    for probe in PROBES:
        if not await count(api, probe):
            problems.append(f"no good {probe} measurement was stored{await _why(api, probe)}")
            continue
        tests = await _tests(api, probe)
        if not any(_stands(line, probe, tests) for line in page):
            problems.append(f"{probe} does not stand in /metrics")
    return problems


def _stands(line: str, probe: str, tests: set[str]) -> bool:
    """A value, or where a busy machine made all of them invalid, the count of the runs."""
    if line.startswith(f"fibrewatch_{probe}_"):
        return True
    return line.startswith("fibrewatch_probe_runs_total{") and any(f'test="{test}"' in line for test in tests)


async def _tests(api: Api, probe: str) -> set[str]:
    return {each.measurement.test for each in (await api.measurements(probe)).measurements}


async def count(api: Api, probe: str) -> int:
    """How many good measurements of a probe the store holds."""
    found, after = 0, 0
    while True:
        page = await api.measurements(probe, after)
        found += sum(each.measurement.outcome == "ok" for each in page.measurements)
        if page.next is None:
            return found
        after = page.next


async def _why(api: Api, probe: str) -> str:
    """The first failure, in brackets, if there is one."""
    page = await api.measurements(probe)
    failed = [each.measurement for each in page.measurements if each.measurement.outcome != "ok"]
    return f" ({failed[0].error}: {failed[0].detail})" if failed else ""


async def summary(api: Api) -> str:
    """How many measurements of each probe were stored."""
    counts = [f"{await count(api, probe)} {probe}" for probe in PROBES]
    return f"stored and in /metrics: {', '.join(counts)} measurements"
