"""The command `trident`."""

from __future__ import annotations

import sys

from trident.extras import advice


def main() -> None:
    """Run the command line; a base install, which is the client alone, is told what to add."""
    try:
        from trident.command_group import run
    except ModuleNotFoundError as error:
        told = advice(error.name or "")
        if told is None:
            raise
        sys.exit(f"trident: the command line needs an extra: {told}")
    run()


if __name__ == "__main__":
    main()
