"""Simulated providers that bill on receipt into their own file."""
