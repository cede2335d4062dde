"""The books in the forms that others read."""
