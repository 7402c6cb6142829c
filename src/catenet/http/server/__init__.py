"""A server of HTTP/1.1 and HTTP/2: ASGI and WSGI applications, and handlers of this server's own."""
