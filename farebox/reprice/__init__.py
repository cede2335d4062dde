"""Prices recorded traffic again, millions of requests at a time, with SQL."""
