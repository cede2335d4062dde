"""Anomalies in the books: finds them as a whole or while the gateway runs, and acts on them."""
