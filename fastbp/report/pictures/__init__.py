"""Pictures of a network and of what samples do to it: every function takes Axes, or makes some, and returns them.

They need matplotlib. What has a sign is blue where it is positive ("more of this"), red where it is negative, and white
at zero, on a scale that reaches equally far to both sides.

Examples
--------
>>> from fastbp import Dense, Network, explain
>>> from fastbp.report import pictures
>>> net = Network(4, [Dense(3, "tanh"), Dense(2, "softmax")])
>>> ax = pictures.weight_images(net.weights[0])
>>> ax = pictures.unit_nudges(explain(net, [0.1, 0.9, 0.2, 0.3], 1))
>>> ax.figure.savefig("nudges.png")  # doctest: +SKIP
"""

from __future__ import annotations

from .charts import agreement, confusion, curve, gradient_flow, gradient_norms
from .images import sample_images, weight_images
from .nudges import most_sensitive, unit_nudges, weight_nudges

__all__ = [
    "agreement",
    "confusion",
    "curve",
    "gradient_flow",
    "gradient_norms",
    "most_sensitive",
    "sample_images",
    "unit_nudges",
    "weight_images",
    "weight_nudges",
]
