"""What training shows while it runs: a bar where tqdm is installed (extra ``examples``), else a line an epoch."""

from __future__ import annotations

import sys
from typing import Any


class Progress:
    """A bar over all samples of a fit, on standard error; the numbers of the last epoch stand behind it."""

    def __init__(self, shown: bool, total: int, epochs: int) -> None:
        self._shown, self._epochs, self._bar = shown, epochs, None
        if shown:
            try:
                from tqdm import tqdm

                self._bar = tqdm(
                    total=total,
                    unit=" samples",
                    unit_scale=True,
                    dynamic_ncols=True,
                    file=sys.stderr,
                    bar_format="{desc} |{bar}| {rate_noinv_fmt}{postfix}",  # fits 80 columns
                )
            except ImportError:
                self._bar = None

    def advance(self, samples: int) -> None:
        """Count samples that were trained on."""
        if self._bar is not None:
            self._bar.update(samples)

    def epoch(self, number: int, values: dict[str, Any]) -> None:
        """Show an epoch's cost and accuracies; names with None are left out."""
        shown = {name: f"{value:.4f}" for name, value in values.items() if value is not None}
        if self._bar is not None:
            self._bar.set_description(f"epoch {number}/{self._epochs}", refresh=False)
            self._bar.set_postfix(shown)
        elif self._shown:
            print(f"epoch {number}/{self._epochs}", *(f"{k} {v}" for k, v in shown.items()), file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
