"""Writes what was collected: a queue, one background thread a process, and the importer of access logs."""
