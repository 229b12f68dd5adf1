"""Who may come to the control API, how long, how often: TLS and its revocations, silent and too many connections."""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from fibrewatch.errors import ConfigError, ToolError
from fibrewatch_agent.responder.config import ControlConfig, TlsFiles

log = logging.getLogger(__name__)

_LOOK_S = 0.5


@asynccontextmanager
async def listening(
    application: web.Application, config: ControlConfig, settings: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Serves while this is open.

    Raises:
        ToolError: The address can't be had.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        logger=_server_log(),
        handler_cancellation=True,  # a box that went away holds no place and gets no slot
        keepalive_timeout=config.limits.quiet_s,  # from the beginning on
        auto_decompress=False,  # bodies are short: a packed one is refused unread
        shutdown_timeout=0.5,
    )
    await runner.setup()
    try:
        async with asyncio.TaskGroup() as tasks:
            server = await _start(runner, config, settings)
            minder = tasks.create_task(_mind(runner, config, settings), name="control's door")
            log.info("slots at %s port=%s tls=%s", config.listen, config.port, "yes" if settings else "no")
            try:
                yield
            finally:
                server.close()
                minder.cancel()
    finally:
        await runner.cleanup()


async def _start(runner: web.AppRunner, config: ControlConfig, settings: ssl.SSLContext | None) -> asyncio.Server:
    loop, handler = asyncio.get_running_loop(), runner.server
    if handler is None:
        raise ToolError("control API: it was not set up")
    limit_s = config.limits.quiet_s if settings is not None else None
    try:
        return await loop.create_server(
            handler, config.listen, config.port, ssl=settings, ssl_handshake_timeout=limit_s, backlog=512
        )
    except OSError as e:
        raise ToolError(f"control API on {config.listen} port {config.port}: {e.strerror}") from e


async def _mind(runner: web.AppRunner, config: ControlConfig, settings: ssl.SSLContext | None) -> None:
    """Closes what one address has too many of, and takes in new lists of revoked certificates."""
    version = _version(config.tls)
    while True:
        await asyncio.sleep(_LOOK_S)
        _thin_out(runner, config.limits.connections)
        if settings is not None and config.tls is not None and (now := _version(config.tls)) != version:
            version = now
            try:
                _revoke(settings, config.tls)
                log.info("revoked certificates read anew file=%s", config.tls.crl)
            except ConfigError as e:
                log.error("the list of revoked certificates that was read last stays in force: %s", e)  # noqa: TRY400


def _thin_out(runner: web.AppRunner, most: int) -> None:
    """The oldest of an address stay."""
    seen: Counter[str] = Counter()
    for connection in runner.server.connections if runner.server is not None else ():
        peer = connection.transport.get_extra_info("peername") if connection.transport is not None else None
        if peer:
            seen[peer[0]] += 1
            if seen[peer[0]] > most:
                connection.force_close()
    for address, count in seen.items():
        if count > most:
            log.warning("too many connections address=%s closed=%s", address, count - most)


class _OurFaults(logging.Filter):
    """Drops what others' bytes that are not HTTP would put into the log, a traceback each."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _server_log() -> logging.Logger:
    made = log.getChild("http")
    made.addFilter(_OurFaults())
    return made


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 and later; with authorities, boxes may show a certificate of theirs that is not revoked.

    Then it is TLS 1.3 without tickets: a session that is taken up again brings its certificate along, and OpenSSL looks
    neither at its time nor at the list again (tried: a revoked box came back so, and again with the next ticket).

    Raises:
        ConfigError: A file can't be used.
    """
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(files.certificate, files.key)
    except OSError as e:  # ssl.SSLError is one
        raise ConfigError("", "control.tls", f"{files.certificate}, {files.key}: {e.strerror or e}") from e
    if files.ca is not None:
        try:
            made.load_verify_locations(cafile=files.ca)
        except OSError as e:
            raise ConfigError("", "control.tls.ca", f"{files.ca}: {e.strerror or e}") from e
        made.verify_mode = ssl.CERT_OPTIONAL
        made.minimum_version, made.num_tickets = ssl.TLSVersion.TLSv1_3, 0
    if files.crl is not None:
        _revoke(made, files)
        made.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return made


def _revoke(settings: ssl.SSLContext, files: TlsFiles) -> None:
    """Adds a list to those that OpenSSL knows: of two of one authority it takes the newer.

    Raises:
        ConfigError: It can't be used.
    """
    before = settings.cert_store_stats()["crl"]
    try:
        settings.load_verify_locations(cafile=files.crl)
    except OSError as e:
        raise ConfigError("", "control.tls.crl", f"{files.crl}: {e.strerror or e}") from e
    if settings.cert_store_stats()["crl"] == before == 0:
        raise ConfigError("", "control.tls.crl", f"{files.crl}: no list of revoked certificates")


def _version(files: TlsFiles | None) -> tuple[int, ...] | None:
    try:
        found = files.crl.stat() if files is not None and files.crl is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size) if found is not None else None
