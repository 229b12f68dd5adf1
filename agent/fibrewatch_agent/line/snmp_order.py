"""What the child that asks a router is told."""

from msgspec import Struct

from fibrewatch_agent.line.config import RouterConfig


class Order(Struct, frozen=True, kw_only=True):
    """What to ask, and which of our own interfaces to tell with it."""

    router: RouterConfig
    interface: str
    every_s: float
