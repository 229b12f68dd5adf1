"""Where `fibrewatch` begins: loads its command line, which takes a moment."""

from fibrewatch import loading


def main() -> int:
    """Entry point."""
    with loading.quietly():
        from fibrewatch_collector.operator.cli import main as command_line
    return command_line()
