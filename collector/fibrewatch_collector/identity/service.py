"""What the running collector does as the authority: who is shut out, who gets the next certificate, who may join."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from fibrewatch import wire
from fibrewatch.errors import FibrewatchError
from fibrewatch.identity import RenewReply
from fibrewatch.wire import AgentId
from fibrewatch_collector.identity.authority import Authority
from fibrewatch_collector.identity.joining import Joining
from fibrewatch_collector.identity.renewal import renewed
from fibrewatch_collector.identity.settings import load_settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
ASK_AGAIN_S = 30.0
_WAITING = 200


class IdentityService:
    """One authority's folder, for as long as the collector runs."""

    def __init__(self, folder: Path, answer: Callable[[AgentId, bytes], None]) -> None:
        """`answer` publishes on a box's renew channel.

        Raises:
            FibrewatchError: The folder holds no usable authority.
        """
        self._authority, self._settings, self._answer = Authority(folder), load_settings(folder), answer
        self._out = self._authority.register.shut_out()
        self._asked: asyncio.Queue[tuple[AgentId, bytes]] = asyncio.Queue(_WAITING)
        self._answered: dict[AgentId, float] = {}

    def shuts_out(self, agent: AgentId) -> bool:
        """Whether its certificates were revoked and it was not enrolled again."""
        return str(agent) in self._out

    def asked(self, agent: AgentId, payload: bytes) -> None:
        """A box wants its next certificate; one that asks again at once gets no second."""
        now = asyncio.get_running_loop().time()
        if now - self._answered.get(agent, float("-inf")) < ASK_AGAIN_S or self._asked.full():
            return
        self._answered[agent] = now
        self._asked.put_nowait((agent, payload))

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            OSError: The joining service's address can't be had.
        """
        joining = Joining(self._authority, self._settings) if self._settings.join else None
        if joining is not None:
            await joining.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_looking(), name="identity-register")
                group.create_task(self._renew(), name="identity-renew")
        finally:
            if joining is not None:
                await joining.stop()

    async def _keep_looking(self) -> None:
        while True:
            try:
                self._out = await asyncio.to_thread(self._authority.register.shut_out)
            except FibrewatchError as e:
                log.warning("%s: who is shut out stays as it was", e)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _renew(self) -> None:
        while True:
            agent, payload = await self._asked.get()
            try:
                reply = await asyncio.to_thread(renewed, self._authority, self._settings, agent, payload)
            except (FibrewatchError, OSError) as e:
                log.error("agent=%s: no new certificate: %s", agent, e)  # noqa: TRY400
                reply = RenewReply(refused="the authority can't at present")
            self._answer(agent, wire.encode(reply))
