"""Load balancing: which address a call goes to, as pure policies. `now` and randomness are handed in."""
