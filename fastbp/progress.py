"""What training shows while it runs: a bar where tqdm is installed (extra ``examples``), else a line an epoch."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .history import History
from .hooks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer


class _Unfailing:
    """Standard error, where it can be written to: for a full disk or a closed pipe no training is lost."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


class ProgressBar(Callback):
    """A bar over all samples of a fit, on standard error; the numbers of the last epoch stand behind it.

    ``fit(..., progress=True)`` is ``callbacks=[ProgressBar()]``.

    Examples
    --------
    >>> from fastbp import Dense, Network, Trainer
    >>> trainer = Trainer(Network(1, [Dense(1)]))
    >>> history = trainer.fit([[1.0], [2.0]], [1.0, 2.0], epochs=2, callbacks=[ProgressBar()])
    """

    _bar: Any = None

    def on_train_begin(self, trainer: Trainer, history: History) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar = None
            return
        self._bar = tqdm(
            total=trainer.run.epochs * trainer.run.samples,
            initial=trainer.run.done,  # more than 0 where a run is resumed
            unit=" samples",
            unit_scale=True,
            dynamic_ncols=True,
            file=_Unfailing(),
            bar_format="{desc} |{bar}| {rate_noinv_fmt}{postfix}",  # fits 80 columns
        )

    def on_slice_end(self, trainer: Trainer, history: History) -> None:
        if self._bar is not None:
            self._bar.update(trainer.run.done - self._bar.n)

    def on_epoch_end(self, trainer: Trainer, epoch: int, history: History) -> None:
        shown = {"cost": f"{history.cost[-1]:.4f}"}
        if trainer.run.validated:
            shown["validation accuracy"] = f"{history.validation_accuracy[-1]:.4f}"
        if self._bar is not None:
            self.on_slice_end(trainer, history)  # so that the bar shown with the numbers is as far as they are
            self._bar.set_description(f"epoch {epoch + 1}/{trainer.run.epochs}", refresh=False)
            self._bar.set_postfix(shown)
        else:
            line = (f"epoch {epoch + 1}/{trainer.run.epochs}", *(f"{name} {value}" for name, value in shown.items()))
            print(*line, file=_Unfailing())

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        if self._bar is not None:
            self._bar.close()

    def __getstate__(self) -> dict[str, Any]:  # a bar cannot be copied
        return {**vars(self), "_bar": None}
