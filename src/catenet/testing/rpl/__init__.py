"""Resolver scenarios (`.rpl`): the public language of testbound and Deckard, run against our resolver in virtual time.

A scenario has a head (settings of the resolver), ranges (what servers at some addresses answer during some steps) and
steps (what a client asks, what it must be answered, what time passes).
"""
