"""gRPC, gRPC-Web and Connect: one interface, a module each."""
