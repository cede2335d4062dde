"""The queryable copy of the journal: Parquet by day, with a manifest that says which files count."""
