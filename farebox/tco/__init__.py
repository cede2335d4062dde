"""What traffic like the recorded will cost in the months to come, under schemes, and what leaving one costs."""
