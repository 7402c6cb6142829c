"""The services as an application within another server: ASGI and WSGI."""
