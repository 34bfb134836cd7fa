"""A figure as bytes: the same figure gives the same file."""

from __future__ import annotations

import io
import warnings

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kopal.report.drawn import METADATA


def rendered(figure: Figure, kind: str) -> bytes:
    """The figure's bytes in one of `formats.FORMATS`."""
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "kopal", "svg.fonttype": "none"}):
        # A letter that the font lacks becomes a small box, and that says enough.
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        figure.savefig(file, format=kind, dpi=110, metadata=METADATA[kind])
    return file.getvalue()
