"""History: what each epoch of a training brought."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass
class History:
    """What each epoch brought: lists with one entry an epoch.

    Attributes
    ----------
    cost, accuracy : list of float
        Over the training samples, each as the network was when it met them, without penalties.
    validation_cost, validation_accuracy : list of float
        After the epoch; empty without validation data.
    seconds : list of float
        Wall time of the epoch's training, without validation.
    interrupted : bool
        Whether Ctrl-C ended the last fit.
    """

    cost: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False

    def to_json(self) -> str:
        """All of it as a JSON object.

        Examples
        --------
        >>> History(cost=[0.5]).to_json()[:14]
        '{"cost": [0.5]'
        """
        return json.dumps(asdict(self))
