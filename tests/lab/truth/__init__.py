"""Every probe against lines whose truth is known: `python -m tests.lab.truth` writes docs/truth.md."""
