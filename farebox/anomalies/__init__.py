"""What spends unlike itself: baselines, detection, attribution and causes, as values. Pure."""
