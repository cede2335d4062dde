"""Rate cards, the price book and the one function that computes a charge."""
