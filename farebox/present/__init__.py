"""Tables and JSON made from answers."""
