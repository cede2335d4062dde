"""Translations between dialects: one file per ordered pair, found through a table."""
