"""Pages of runs: files that open from disk, with pictures, tables, and the photos behind every number."""

from kopal.report.page.comparison import comparison_page
from kopal.report.page.page import run_page
from kopal.report.page.sources import photos_of, whereabouts

__all__ = ["comparison_page", "photos_of", "run_page", "whereabouts"]
