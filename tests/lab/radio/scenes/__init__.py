"""What happens in one machine: each module's `scene(world)` returns facts, and is `python -m` runnable in there."""
