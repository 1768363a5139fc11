"""Runs uWSGI from its wheel, which has no `python -m` of its own."""

import pyuwsgi

pyuwsgi.run()
