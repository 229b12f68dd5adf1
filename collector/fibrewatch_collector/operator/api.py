"""A collector's HTTP API, asked."""

from typing import Any

import aiohttp

from fibrewatch.errors import FibrewatchError

TIMEOUT_S = 10.0


class ApiError(FibrewatchError):
    """The collector does not answer as it should."""


class Api:
    """GET requests to one collector, over one session."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url.rstrip("/"), session

    async def json(self, path: str, **query: str) -> Any:
        """What the collector says at a path.

        Raises:
            ApiError: Nobody answers, or it is not JSON.
        """
        return await self._get(path, query, as_text=False)

    async def text(self, path: str) -> str:
        """The body at a path, such as /metrics; raises ApiError as `json` does."""
        return str(await self._get(path, {}, as_text=True))

    async def _get(self, path: str, query: dict[str, str], *, as_text: bool) -> Any:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.get(f"{self.url}{path}", params=query, timeout=timeout) as answer:
                if answer.status != 200:
                    raise ApiError(f"{self.url}{path}: HTTP status {answer.status}")
                return await answer.text() if as_text else await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as e:
            raise ApiError(f"{self.url}{path}: {e or type(e).__name__}") from e
