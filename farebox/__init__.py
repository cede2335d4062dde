"""Farebox: a self-hosted LLM gateway whose books balance."""
