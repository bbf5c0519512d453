"""PyTorch, eager or compiled: autograd, as lean as its Python side can be made.

What was measured, epoch of 784-16-16-10 at batch 100, one thread: ``nn.Module`` with ``optim.SGD`` 163 ms (default,
``foreach`` and ``fused`` alike); ``autograd.grad`` with one ``_foreach_add_`` 123; weights kept (n_in, n_out) for
``addmm`` 116. ``index_select`` gathers faster than ``x[rows]`` (160), and than permuting all the data first (238).
"""

from __future__ import annotations

from typing import Any

import torch

from .work import Array, Work

ACTIVATIONS: dict[str, Any] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "identity": lambda z: z}


class TorchPeer:
    """A network as a list of leaves, and its data."""

    compiled = False

    def __init__(self, work: Work, threads: int) -> None:
        torch.set_num_threads(threads)
        self.cell = cell = work.cell
        self.x, self.y = torch.from_numpy(work.x), torch.from_numpy(work.y)
        self.theta = [torch.from_numpy(p.copy()).requires_grad_() for layer in work.parameters for p in layer]
        self.activations = [ACTIVATIONS[name] for name in cell.activations]
        self.scale = 0.5 * cell.cost_scale / cell.batch
        adam = cell.optimizer == "adam"
        self.adam = torch.optim.Adam(self.theta, lr=cell.learning_rate, fused=True) if adam else None
        self.cost = torch.compile(self._cost) if self.compiled else self._cost

    def train(self, epochs: int, shuffle: bool) -> None:
        """Epochs of mini-batches, each gathered from a permutation of the samples."""
        n, batch = self.cell.n, self.cell.batch
        for _ in range(epochs):
            if self.cell.full_batch:
                self._step(self.x, self.y)
                continue
            order = torch.randperm(n) if shuffle else torch.arange(n)
            for rows in order.split(batch):
                self._step(self.x.index_select(0, rows), self.y.index_select(0, rows))

    def gradient(self) -> Any:
        """The gradient of the averaged cost, an array a parameter."""
        return torch.autograd.grad(self.cost(self.x, self.y) * self.scale, self.theta)

    def forward(self) -> Any:
        """(n, n_out) outputs."""
        with torch.inference_mode():
            return self._outputs(self.x)

    def parameters(self) -> list[tuple[Array, Array]]:
        """Weights and biases of every layer."""
        arrays = [p.detach().numpy() for p in self.theta]
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def _outputs(self, a: Any) -> Any:
        for layer, f in enumerate(self.activations):
            a = f(torch.addmm(self.theta[2 * layer + 1], a, self.theta[2 * layer]))
        return a

    def _cost(self, x: Any, y: Any) -> Any:
        return torch.nn.functional.mse_loss(self._outputs(x), y, reduction="sum")

    def _step(self, x: Any, y: Any) -> None:
        g = torch.autograd.grad(self.cost(x, y), self.theta)
        with torch.no_grad():
            if self.adam is None:
                torch._foreach_add_(self.theta, g, alpha=-self.cell.learning_rate * self.scale)
                return
            torch._foreach_mul_(g, self.scale)
            for p, gradient in zip(self.theta, g, strict=True):
                p.grad = gradient
            self.adam.step()


class CompiledTorchPeer(TorchPeer):
    """The same with ``torch.compile`` around the cost, forward and back."""

    compiled = True
