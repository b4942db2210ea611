"""Scores of candidates: the table, how it is computed, and its cache."""
