"""The page of a run: one file that opens from disk, with pictures, tables, and the photos behind every number."""

from kopal.report.page.page import run_page
from kopal.report.page.sources import photos_of, whereabouts

__all__ = ["photos_of", "run_page", "whereabouts"]
