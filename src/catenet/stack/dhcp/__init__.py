"""DHCP for both versions of IP: clients, servers, and what they share."""
