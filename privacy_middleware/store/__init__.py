"""Keeps rows: hits, salts, counters, statement versions. Knows SQL; decides nothing about privacy."""
