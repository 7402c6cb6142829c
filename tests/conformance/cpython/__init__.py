"""CPython's own tests, first on the kernel, then in a world: what passes there is to pass here."""
