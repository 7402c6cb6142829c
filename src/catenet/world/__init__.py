"""Hosts, processes, the hub, topology, faults, seeds, traces and reports."""
