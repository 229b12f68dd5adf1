"""HTML into a tagged PDF by WeasyPrint, in a process of its own: it keeps a core busy for seconds and takes 150 MB.

Run as `python -m fibrewatch_collector.report.page.pdf`: HTML on standard input, the PDF on standard output.
"""

import logging
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from fibrewatch import python_child
from fibrewatch.errors import FibrewatchError

TIMEOUT_S = 300.0
_SHOWN = 400


class PdfError(FibrewatchError):
    """A PDF that could not be made: the text says why."""


def pdf(html: str, timeout_s: float = TIMEOUT_S) -> bytes:
    """Blocks until it is made.

    Raises:
        PdfError: The libraries it needs are missing, or it takes too long.
    """
    try:
        made = subprocess.run(
            python_child.command(__spec__.name),
            input=html.encode(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise PdfError(f"the PDF was not made within {timeout_s:g} s") from e
    if made.returncode != 0 or not made.stdout.startswith(b"%PDF-"):
        raise PdfError(f"the PDF was not made: {_last_line(made.stderr)}")
    return made.stdout


def _last_line(told: bytes) -> str:
    lines: Sequence[str] = told.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return lines[-1][:_SHOWN]


def main() -> int:
    """The process itself."""
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as e:
        print(f"WeasyPrint needs Pango (Debian: libpangoft2-1.0-0, libharfbuzz-subset0): {e}", file=sys.stderr)
        return 1

    class Nothing(URLFetcher):  # type: ignore[misc]  # weasyprint has no types
        """The page holds all it needs: whatever it would load is refused."""

        def fetch(self, url: str, headers: Any = None) -> NoReturn:
            raise ValueError(f"nothing is loaded from elsewhere: {url[:80]}")

    page = HTML(string=sys.stdin.buffer.read().decode(), url_fetcher=Nothing(), base_url=None)
    sys.stdout.buffer.write(page.write_pdf(pdf_variant="pdf/ua-1"))
    return 0
