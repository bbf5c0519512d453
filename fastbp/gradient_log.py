"""GradientLog: how long gradients are, and how noisy, as training goes on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .forensics import layer_norms, sample_forensics
from .history import History
from .hooks import Callback
from .model import Network, require_network
from .trainer import Trainer


class GradientLog(Callback):
    """A callback that keeps, epoch by epoch, how long the gradients are; the first entry is from before training.

    Parameters
    ----------
    net : Network
        Looked at now, and after every epoch.
    x, y : array_like
        As in ``Network.cost``: the samples to look at. A thousand tell as much as all.

    Attributes
    ----------
    sample_norms : list of ndarray, (n,)
        The norm of each sample's gradient.
    layer_norms : list of ndarray, (L,)
        The norm of their average, layer by layer.
    noise_scales : list of float
        ``SampleForensics.noise_scale``.

    Raises
    ------
    TypeError, ValueError
        If x or y do not fit the network, or there is only one sample; by ``fit``, before it begins, if that trains
        another network.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(2, [Dense(4, "tanh"), Dense(2, "softmax")])
    >>> x, y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    >>> log = GradientLog(net, x, y)
    >>> history = Trainer(net).fit(x, y, epochs=3, callbacks=[log])
    >>> len(log.layer_norms), log.layer_norms[0].shape, log.sample_norms[0].shape
    (4, (2,), (2,))
    """

    def __init__(self, net: Network, x: ArrayLike, y: ArrayLike) -> None:
        require_network("net", net)
        self.network, (self._x, self._y) = net, net._samples(x, y)
        self.sample_norms: list[np.ndarray] = []
        self.layer_norms: list[np.ndarray] = []
        self.noise_scales: list[float] = []
        self._record()

    def on_train_begin(self, trainer: Trainer, history: History) -> None:
        if trainer.network is not self.network:
            raise ValueError("net: got another network than the trainer's, expected GradientLog(trainer.network, x, y)")

    def on_epoch_end(self, trainer: Trainer, epoch: int, history: History) -> None:
        self._record()

    def _record(self) -> None:
        found = sample_forensics(self.network, self._x, self._y)
        self.noise_scales.append(found.noise_scale)
        self.sample_norms.append(found.norms)
        self.layer_norms.append(layer_norms(found.gradient))
