"""Writes the privacy statement from what is declared and in force."""
