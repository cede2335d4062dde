"""How well providers do: what failed there lately, how fast they are, and what must be left alone for now. Pure."""
