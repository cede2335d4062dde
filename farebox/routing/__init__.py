"""Which of a model's targets answers a call, and why: conditions, expected cost, strategies. Pure."""
