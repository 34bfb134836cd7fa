"""A net that looks at each image twice, as it is and in the mirror: Net → Net, features averaged."""

from __future__ import annotations

from dataclasses import replace

from kopal.nets.layers import Chain, MeanOfTwo, WithMirror
from kopal.nets.net import Net


def mirrored(net: Net) -> Net:
    """A net without a head → one whose features are the mean of an image's and its mirror image's."""
    layers = (("mirror-too", WithMirror()), *net.body.layers, ("mean-of-two", MeanOfTwo()))
    return replace(net, body=Chain(layers))
