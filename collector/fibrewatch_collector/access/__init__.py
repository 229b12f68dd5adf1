"""Who may ask the collector for what: tokens, scopes, limits, and the record of every change."""

from fibrewatch.errors import FibrewatchError


class AccessError(FibrewatchError):
    """Tokens or records can't be read or changed as asked."""
