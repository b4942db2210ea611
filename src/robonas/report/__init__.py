"""The report of a search as one page: numbers first, then pictures, then the page."""

from robonas.report.page import render, write_report

__all__ = ["render", "write_report"]
