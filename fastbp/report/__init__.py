"""What is left of a run: its files, its figures, its learning curve, and a page that holds the network."""

from __future__ import annotations

from fastbp.report.curves import save_curve
from fastbp.report.page import save_page
from fastbp.report.runs import save_run, summary, table

__all__ = ["save_curve", "save_page", "save_run", "summary", "table"]
