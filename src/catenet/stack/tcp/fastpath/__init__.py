"""Header prediction and bulk sending: what a connection expects, in the fewest steps."""
