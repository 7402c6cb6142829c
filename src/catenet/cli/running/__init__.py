"""`catenet run` several times: many seeds, or the same one twice."""
