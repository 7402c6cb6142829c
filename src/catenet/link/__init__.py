"""Devices that carry packets: TUN, pipe, simulated link; and devices around devices."""
