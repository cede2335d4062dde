"""What depends on the order of a period's usage: pools, marginal prices, volume contracts, commitments."""
