"""Why this answer, as a picture: the photo, where the answer comes from, how sure it is, the nearest photos."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kopal import images
from kopal.attribution import Attribution
from kopal.errors import UnreadableImage
from kopal.explain import Explanation, Learned
from kopal.images import FULL_SIDE, Geometry
from kopal.report.figure import rendered
from kopal.report.formats import caption
from kopal.report.overlay import overlaid

INK, QUIET, BAR, OTHER = "#222222", "#666666", "#1f4e79", "#b7c3d0"
THUMBNAIL = 192


def why_picture(found: Explanation, kind: str = "png") -> bytes:
    """The picture's bytes in one of `formats.FORMATS`."""
    rows = 2 if found.near else 1
    figure = Figure(figsize=(10.5, 0.55 + 3.5 * rows), layout="constrained", facecolor="white")
    name, probability = found.top[0]
    said = caption(found.said, 40) + (f", else {caption(name, 40)}" if found.said != name else "")
    # No mathematics in other people's names.
    figure.suptitle(f"{caption(found.path, 60)}: {said}, {probability:.1%}", fontsize=12, color=INK, parse_math=False)
    panels = figure.subplots(rows, 3, squeeze=False)
    _image(panels[0, 0], found.pixels, "what the model sees")
    _image(panels[0, 1], overlaid(found.pixels, found.attribution), f"for {caption(found.explained, 24)}", smooth=True)
    panels[0, 1].set_xlabel(_key(found.attribution), fontsize=8.5, color=QUIET)
    _bars(panels[0, 2], found)
    for place, axes in enumerate(panels[1] if found.near else ()):
        if place < len(found.near):
            _neighbour(axes, found.near[place])
        else:
            axes.set_axis_off()
    return rendered(figure, kind)


def _key(attribution: Attribution) -> str:
    least, most = float(attribution.worth.min()), float(attribution.worth.max())
    against = f"blue against it (down to {least:+.1f})" if least < 0 else "nothing against it"
    return f"{attribution.method}\nred speaks for it (up to {most:+.1f}), {against}"


def _image(axes: Axes, image: NDArray[np.uint8] | NDArray[np.float64], title: str, smooth: bool = False) -> None:
    tiny = max(image.shape[:2]) <= FULL_SIDE and not smooth
    axes.imshow(
        image[..., 0] if image.shape[-1] == 1 else image,
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="nearest" if tiny else "antialiased",
    )
    axes.set_title(title, fontsize=10, color=INK, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color="#cccccc", linewidth=0.8)


def _bars(axes: Axes, found: Explanation) -> None:
    names = [caption(name, 18) for name, _ in found.top]
    shares = [share for _, share in found.top]
    axes.barh(range(len(names)), shares, color=[BAR, *[OTHER] * (len(names) - 1)], height=0.62)
    axes.set_yticks(range(len(names)), names, fontsize=9.5, color=INK, parse_math=False)
    axes.set_xlim(0, 1.18)
    axes.invert_yaxis()
    for place, share in enumerate(shares):
        axes.text(share + 0.02, place, f"{share:.1%}", va="center", fontsize=9, color=QUIET)
    axes.set_title("probabilities", fontsize=10, color=INK)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _neighbour(axes: Axes, near: Learned) -> None:
    title = f"{caption(near.label, 24)}, cosine {near.similarity:.3f}"
    try:
        image = images.decode(images.read_bytes(near.path), Geometry(THUMBNAIL, THUMBNAIL))
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        _image(axes, np.asarray(image.convert("RGB")), title)
    except UnreadableImage:
        axes.text(0.5, 0.5, "the photo is not\nwhere it was", ha="center", va="center", fontsize=9, color=QUIET)
        _image(axes, np.full((1, 1, 3), 243, np.uint8), title)
    axes.set_xlabel(caption(near.path, 44), fontsize=8, color=QUIET, parse_math=False)
