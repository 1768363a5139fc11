"""Counts visitors, visits and pages; nothing here shows one person."""
