"""UDP and ping sockets."""
