"""The report page of ``cnnc compile --report``: facts of a compiled model, gathered and written as one HTML file."""

from __future__ import annotations

from cnnc.report.collect import Settings, collect
from cnnc.report.facts import Report
from cnnc.report.writing import write_report

__all__ = ["Report", "Settings", "collect", "write_report"]
