"""The box at a site: schedules probes, spools results, publishes them."""

from fibrewatch_agent import memory

with memory.without("typing_extensions"):  # 0.4 MiB that msgspec takes when it is there and does without otherwise
    import msgspec as msgspec
