"""What callers may do: rules, limits, validation, the audit log."""
