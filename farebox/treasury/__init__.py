"""A worker's side of the budgets: purses in memory, and the dealings with the authority that fills them."""
