"""Simulated providers that bill on receipt into their own file.

The bill is the oracle of every metering test, so nothing in this folder may import farebox outside it:
a shared mistake would agree with itself.
"""
