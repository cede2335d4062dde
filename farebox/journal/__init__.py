"""The append-only record of what was sent and what came of it."""
