"""Invoices and cost exports of providers against the books, line by line."""
