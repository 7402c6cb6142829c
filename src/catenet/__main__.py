"""`python -m catenet` is the catenet command."""

import sys
from collections.abc import Sequence

from catenet.world.engine.layout import settle


def main() -> int:
    """Run the command line of this process and return the exit status."""
    if _is_simulation(sys.argv[1:]):
        settle()
    from catenet.cli import main as run  # takes as long to import as the interpreter to start

    return run()


def _is_simulation(words: Sequence[str]) -> bool:
    """Whether a world is run, as far as can be said at a glance; where a network is named, the verb itself will see."""
    return words[:1] == ["run"] and not any(
        "--net".startswith(word.partition("=")[0]) for word in words if len(word) > 2
    )


if __name__ == "__main__":
    sys.exit(main())
