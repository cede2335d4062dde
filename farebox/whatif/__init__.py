"""What recorded traffic would have cost otherwise: other models, tiers, prices, batch shares, caches."""
