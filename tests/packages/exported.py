"""What `fibrewatch-collector export` printed."""

import json


def nothing_is_missing(exported: bytes) -> int:
    """Of each stream, which is a start of the agent, every number is there; how many streams there are."""
    numbers: dict[str, list[int]] = {}
    for line in exported.splitlines():
        row = json.loads(line)
        numbers.setdefault(row["stream"], []).append(row["sequence"])
    assert numbers
    for each in numbers.values():
        assert sorted(each) == list(range(1, len(each) + 1))
    return len(numbers)
