"""Whether a call may spend: what its attempts reserve before they are sent, and what a refused client is told."""
