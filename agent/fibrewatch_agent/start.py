"""Where `fibrewatch-agent` begins: loads its command line, which takes a moment."""

from typing import NoReturn

from fibrewatch import loading


def main() -> NoReturn:
    """Entry point."""
    with loading.quietly():
        from fibrewatch_agent.cli import main as command_line
    command_line()
