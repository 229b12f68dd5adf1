"""Names by the C library, each asked in a thread that nobody waits for.

getaddrinfo(3) can't be stopped: behind a silent resolver it lasts half a minute. In asyncio's own few threads some such
names would hold up every other, and the end of the process.
"""

import asyncio
import contextlib
import socket
import threading


async def addresses(name: str, family: int = socket.AF_UNSPEC) -> list[str]:
    """The numeric addresses of a name, the C library's first choice first; the caller sets the deadline.

    Raises:
        OSError: gaierror, or no thread is left.
        UnicodeError: It can't be a host name.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def ask() -> None:
        found: list[str] | Exception
        try:
            found = [str(each[4][0]) for each in socket.getaddrinfo(name, None, family, socket.SOCK_DGRAM)]
        except Exception as e:  # told where it is awaited
            found = e
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_tell, answer, found)

    try:
        threading.Thread(target=ask, name=f"resolve {name}", daemon=True).start()
    except RuntimeError as e:
        raise OSError(None, str(e)) from e
    return await answer


def _tell(answer: "asyncio.Future[list[str]]", found: list[str] | Exception) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
