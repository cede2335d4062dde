"""Answers computed from the books."""
