"""Multicast: memberships, IGMP and MLD, queriers."""
