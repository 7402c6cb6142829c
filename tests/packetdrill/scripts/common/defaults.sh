#!/bin/sh
# The settings that every script here starts from. Never run: the reader takes the values off these lines.

# Buffers: a window scale of 8, and room enough that no window update disturbs a script.
sysctl -q net.ipv4.tcp_rmem="4096 540000 $((15 * 1024 * 1024))"
sysctl -q net.ipv4.tcp_wmem="4096 $((256 * 1024)) $((4 * 1024 * 1024))"

# Options on the wire.
sysctl -q net.ipv4.tcp_timestamps=1 net.ipv4.tcp_sack=1 net.ipv4.tcp_dsack=1 net.ipv4.tcp_ecn=0

# Loss detection and congestion control.
sysctl -q net.ipv4.tcp_recovery=1 net.ipv4.tcp_early_retrans=3 net.ipv4.tcp_frto=2 net.ipv4.tcp_reordering=3
sysctl -q net.ipv4.tcp_congestion_control=cubic net.ipv4.tcp_slow_start_after_idle=0

# Fast Open both ways, with a known key.
sysctl -q net.ipv4.tcp_fastopen=0x3
sysctl -q net.ipv4.tcp_fastopen_key=a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4

sysctl -q net.ipv4.tcp_syn_retries=5 net.ipv4.tcp_synack_retries=5 net.ipv4.tcp_syncookies=1
