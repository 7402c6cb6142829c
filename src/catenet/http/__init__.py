"""HTTP/2 and HTTP/1.1 as pure protocol cores."""
