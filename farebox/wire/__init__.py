"""Dialects as sans-IO codecs: bytes in, values out."""
