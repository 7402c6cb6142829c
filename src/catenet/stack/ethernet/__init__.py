"""Ethernet: ARP and neighbour discovery, address configuration, DHCP."""
