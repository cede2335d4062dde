"""Usage normalisers: one file per API, a provider's raw usage in, disjoint meters out."""
