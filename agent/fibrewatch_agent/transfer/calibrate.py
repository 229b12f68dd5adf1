"""The box's own ceilings, now: `fibrewatch-agent calibrate`."""

import time

from fibrewatch.errors import ConfigError
from fibrewatch.measurement import AnyMeasurement
from fibrewatch_agent.config import AgentConfig
from fibrewatch_agent.line.keeper import calibrations
from fibrewatch_agent.once import measure
from fibrewatch_agent.transfer import ceilings


async def calibrate(config: AgentConfig) -> list[AnyMeasurement]:
    """Each interface that heavy tests use, one after the other; what is found is kept for the tests to come.

    Raises:
        ConfigError: There is no heavy test, or its interface is not known.
    """
    made = []
    for _, plan in calibrations(config):
        if plan.interface is None:
            raise ConfigError("", "calibrate", "there is no default route: give the uplink its interface")
        measurement = await measure(plan, str(config.agent), 0.0)
        if measurement.outcome == "ok" and measurement.result is not None:
            ceilings.keep(config.state_dir, plan.interface, time.time(), measurement.result)
        made.append(measurement)
    if not made:
        raise ConfigError("", "calibrate", "no test of the config loads a line, so there is nothing to calibrate for")
    return made
