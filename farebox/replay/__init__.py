"""Drives a running gateway with a recorded trace."""
