"""The name servers of a world: zones made of what its file says, signed, broken on purpose, turned by the asker."""
