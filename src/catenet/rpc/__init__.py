"""Remote procedure calls: one .proto, three wires."""
