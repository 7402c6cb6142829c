"""catenet resolve: ask name servers, with dig's habits."""

from catenet.cli.resolve.verb import register, run

__all__ = ["register", "run"]
