"""Serves people's rights: what they ask for, how they prove who they are, and how it is done in time."""
