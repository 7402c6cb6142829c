"""The exact path of a name server: answers kept as wire bytes, sockets drained in batches. Compiled if anything is."""
