"""Drives a running gateway with a recorded trace, or with one made from published statistics.

trace = replay.parse("azure_2023_conv.csv", "azure")
summary = replay.run(replay.Plan(rows=trace, speed=60, key="..."))
"""

from farebox.replay.client import drive, run
from farebox.replay.plan import Plan
from farebox.replay.rows import TraceError, TraceRow
from farebox.replay.summary import Summary
from farebox.replay.trace import parse

__all__ = ["Plan", "Summary", "TraceError", "TraceRow", "drive", "parse", "run"]
