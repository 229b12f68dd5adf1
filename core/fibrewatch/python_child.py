"""How this program starts itself again for work that is too heavy to stay in memory."""

import sys

_BEGIN = "import sys; sys.path[:0] = sys.argv[1].split(':'); from {module} import main; sys.exit(main(*sys.argv[2:]))"


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a Python that calls `module.main(*arguments)`.

    It finds what we find, however we were started: a package's own folder is on our path by no environment variable.
    """
    path = ":".join(folder for folder in sys.path if folder)
    return [sys.executable, "-c", _BEGIN.format(module=module), path, *arguments]
