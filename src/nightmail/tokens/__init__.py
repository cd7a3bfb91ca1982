"""Exact token counts, offline: what a request holds before anybody has seen it."""
