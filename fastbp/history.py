"""History: what each epoch of a training brought."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field

QUANTITIES = ("cost", "accuracy", "validation_cost", "validation_accuracy")
LISTS = (*QUANTITIES, "seconds")


@dataclass
class History:
    """What each epoch brought: lists with one entry an epoch.

    Attributes
    ----------
    cost, accuracy : list of float
        Over the training samples, each as the network was when it met them, without penalties.
    validation_cost, validation_accuracy : list of float
        After the epoch; NaN for an epoch without validation data, empty where none had any.
    seconds : list of float
        Wall time of the epoch's training, without validation; of short epochs that went together, an equal share.
    interrupted : bool
        Whether Ctrl-C ended the last fit.
    ended_by : str
        What ended the last fit: "epochs", "max_seconds", "Ctrl-C", or the class of a callback or an exception; empty
        while it runs.
    unfinished : float
        How much of a further epoch was trained, 0 to below 1: it changed the network, but has no entry in the lists.

    Examples
    --------
    >>> from fastbp import Dense, Network, Trainer
    >>> history = Trainer(Network(1, [Dense(1)])).fit([[0.0], [1.0]], [1.0, 2.0], epochs=3)
    >>> len(history.cost), history.validation_cost, history.ended_by
    (3, [], 'epochs')
    """

    cost: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False
    ended_by: str = ""
    unfinished: float = 0.0

    def _lists(self) -> dict[str, list[float]]:
        return {name: getattr(self, name) for name in LISTS}

    def _add(self, **brought: list[float]) -> None:
        """Append what epochs brought. NaN stands for what some epochs have and others have not."""
        before = len(self.cost)
        after = before + len(brought["cost"])
        for name, values in self._lists().items():
            new = brought.get(name, [])
            if values or new:
                values += [math.nan] * (before - len(values)) + new
                values += [math.nan] * (after - len(values))

    def to_json(self) -> str:
        """All of it as a JSON object. JSON has no NaN and no infinity: they become null.

        Examples
        --------
        >>> History(cost=[0.5]).to_json()[:14]
        '{"cost": [0.5]'
        """
        known = {name: [v if math.isfinite(v) else None for v in values] for name, values in self._lists().items()}
        return json.dumps(asdict(self) | known, allow_nan=False)
