"""Whether somebody could sign in where other machines reach the collector: for check-config, not for each start."""

from datetime import UTC, datetime

from fibrewatch.errors import ConfigError
from fibrewatch_collector.access.records import TokenFile
from fibrewatch_collector.config import Config


def check(config: Config, file: str) -> None:
    """Against the tokens that are there.

    Raises:
        ConfigError: Other machines reach it, and nobody there could ask for anything.
        AccessError: Tokens can't be read.
    """
    if (problem := nobody_may_ask(config)) is not None:
        place, text = problem
        raise ConfigError(file, place, text)


def nobody_may_ask(config: Config) -> tuple[str, str] | None:
    """Place and problem, if so."""
    reached, now = config.http.open_addresses, datetime.now(UTC)
    if not reached or config.http.anybody_by_certificate:
        return None
    if any(token.problem(now) is None for token, _ in TokenFile(config.tokens).all()):
        return None
    if config.http.tls is None and not config.http.proxies:
        return None  # free networks of its own are all that it is for
    place, address = next(iter(reached.items()))
    text = f"{address} can be reached from elsewhere, and there is no token that is good: fibrewatch token add NAME"
    return place, f"{text} --scope read"
