"""The shell of a host: command lines run by programs of the host, in its time and on its network."""
