"""Caps on spending as values: accounts, windows, and the ledger of holds. Pure; the clock is an argument."""
