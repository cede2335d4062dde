"""Writes the rate cards out of packaged price data: a tool of the maintainer, never needed to run."""
