"""The queryable copy of the journal."""
