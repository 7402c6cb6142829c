"""What can be seen of a world: reports, captures, plots, sockets."""
