"""SSDP: what is on the local network, as devices say that speak UPnP (UPnP Device Architecture 2.0, section 1)."""
