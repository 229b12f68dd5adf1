"""What each request needs: a scope by its method, unless it is listed here. A new route is shut by default. Pure."""

from typing import Literal, get_args

Scope = Literal["metrics", "read", "operate", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each includes those before it."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOCAL: Scope = "operate"
"""What a request from a free network may do; `admin` always takes a token or a certificate."""

PUBLIC = frozenset(
    {
        ("GET", "/healthz"),
        ("GET", "/page.css"),
        ("GET", "/page.js"),
        ("GET", "/signin"),
        ("POST", "/signin"),
        ("POST", "/signout"),
    }
)
"""Says nothing of any site."""
OTHERS: dict[tuple[str, str], Scope] = {
    ("GET", "/metrics"): "metrics",
    ("GET", "/readyz"): "metrics",
    ("GET", "/api/v1/audit"): "admin",
    ("GET", "/api/v1/tokens"): "admin",
    ("POST", "/api/v1/tokens/{name}/revoke"): "admin",
}


def needed(method: str, path: str) -> Scope | None:
    """For a route by its canonical path; None: anybody may."""
    asked = ("GET" if method == "HEAD" else method), path
    if asked in PUBLIC:
        return None
    return OTHERS.get(asked, "read" if method in SAFE_METHODS else "operate")


def covers(held: Scope, wanted: Scope) -> bool:
    """Whether one scope includes the other."""
    return SCOPES.index(held) >= SCOPES.index(wanted)
