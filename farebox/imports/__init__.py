"""Logs and exports of others, read into the books."""
