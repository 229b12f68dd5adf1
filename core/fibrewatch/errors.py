"""The errors of the whole product: one base, few children, data as attributes."""


class FibrewatchError(Exception):
    """Base of every error that a user may see; its text is one line that names place and value."""


class ConfigError(FibrewatchError):
    """A configuration that can't be used.

    Attributes:
        file: The file as the user named it.
        place: Dotted path of the key within it, or "" for the whole file.
    """

    def __init__(self, file: str, place: str, problem: str) -> None:
        self.file, self.place, self.problem = file, place, problem
        super().__init__(": ".join(part for part in (file, place, problem) if part))


class ToolError(FibrewatchError):
    """A program that fibrewatch runs is missing or did not do its work."""


class WireError(FibrewatchError):
    """A payload or topic that is not of the contract.

    Attributes:
        reason: One word for the counter's label.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class StoreError(FibrewatchError):
    """The store could not do what was asked (disk full, locked, damaged).

    Attributes:
        full: There was no room on the disk: it passes when there is.
    """

    def __init__(self, problem: str, *, full: bool = False) -> None:
        self.full = full
        super().__init__(problem)
