"""The command line: one file a command. What it needs is imported when it runs, so that `--help` comes at once."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 1 failed, 2 cannot be done as asked, 130 interrupted."""
    from .app import execute

    return execute(arguments)
