"""Damaged files by the hundred thousand, through the decode workers and over HTTP."""
