"""Tools for testing programs and stacks."""
