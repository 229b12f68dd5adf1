"""Months of results faster than time, with faults at known moments, and the expected answer beside them.

script: what a scenario file says. checks: whether it fits. sites: what the truth knows of sites.toml. samples, ways,
world: what happens to each packet. boxes: what boxes make of it, and when it arrives. play: into a store.
truth: the expected answer, which shares no code with what it is held against.
"""
