"""Two live boxes under one id, a copied card say: each takes the connection from the other, again and again. Pure."""

from fibrewatch.wire import AgentId


class Twins:
    """By boots: a machine that was restarted never comes back under the boot that it had before; only another does."""

    def __init__(self) -> None:
        self._boots: dict[AgentId, tuple[str, str]] = {}

    def online(self, agent: AgentId, boot: str) -> str | None:
        """A box says that it is there; the boot of the other machine, if it had been replaced by one."""
        newest, before = self._boots.get(agent, ("", ""))
        if boot == newest:
            return None
        self._boots[agent] = boot, newest
        return newest if boot == before else None
