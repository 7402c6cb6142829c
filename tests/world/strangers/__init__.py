"""Programs of others in pairs: first on the kernel, then in worlds with loss, a partition and a server that crashes."""
