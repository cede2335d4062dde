"""What people change: virtual keys."""
