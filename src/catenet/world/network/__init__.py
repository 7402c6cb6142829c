"""Links, topology, and the trace of what crossed them."""
