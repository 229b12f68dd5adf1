"""The collector's state in one archive, taken while it runs, and put back as a whole."""

from fibrewatch.errors import FibrewatchError


class BackupError(FibrewatchError):
    """An archive that can't be made or is not to be trusted, or a place that it can't go to; nothing was changed."""
