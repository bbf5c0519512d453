"""JAX: one jitted scan over an epoch, or one jitted loop over full-batch steps; x64 off.

What was measured, epoch of 784-16-16-10 at batch 100, two threads: indices shuffled by NumPy and gathered with
``mode="clip"`` 40 ms (``jax.random.permutation`` inside the jit: 64); uint8 gathered and scaled inside 37; data
permuted before the scan 139. ``unroll=4`` gains 6 % at batches of 1 and 10, loses 5 % at 100. No difference:
``--xla_cpu_prefer_vector_width=512``, a hand-written gradient. ``--xla_cpu_enable_fast_math`` gains 12 % at batch 1 and
nothing elsewhere; it stays at its default, off, for fastbp keeps NaN and inf as well.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .work import Array, Work

jax.config.update("jax_platforms", "cpu")  # where there is a GPU it would take that one
ACTIVATIONS: dict[str, Any] = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "identity": lambda z: z}


class JaxPeer:
    """A network and optimizer state as pytrees, and its data."""

    def __init__(self, work: Work, threads: int) -> None:
        self.cell = cell = work.cell
        self.raw, self.y = jnp.array(work.raw), jnp.array(work.y)
        theta = [(jnp.array(w), jnp.array(b)) for w, b in work.parameters]
        m, v = (jax.tree.map(jnp.zeros_like, theta) for _ in range(2))  # two of them: a donated buffer is given once
        self.state = (theta, m, v, jnp.float32(0)) if cell.optimizer == "adam" else (theta,)
        self.rng = np.random.default_rng(0)
        self.epoch = jax.jit(self._epoch, donate_argnums=0)
        self.steps = jax.jit(self._steps)
        self.gradient_of = jax.jit(jax.grad(self._cost))
        self.outputs_of = jax.jit(self._outputs)

    def train(self, epochs: int, shuffle: bool) -> None:
        """Epochs of mini-batches, each gathered from a permutation of the samples."""
        if self.cell.full_batch:
            self.state = self.steps(self.state, epochs, self.raw, self.y)
        else:
            for _ in range(epochs):
                order = self.rng.permutation(self.cell.n) if shuffle else np.arange(self.cell.n)
                batches = order.astype(np.int32).reshape(-1, self.cell.batch)
                self.state = self.epoch(self.state, self.raw, self.y, batches)
        jax.block_until_ready(self.state)

    def gradient(self) -> Any:
        """The gradient of the averaged cost, a list of pairs of arrays."""
        return jax.block_until_ready(self.gradient_of(self.state[0], self.raw, self.y))

    def forward(self) -> Any:
        """(n, n_out) outputs."""
        return jax.block_until_ready(self.outputs_of(self.state[0], self.raw))

    def parameters(self) -> list[tuple[Array, Array]]:
        """Weights and biases of every layer."""
        return [(np.asarray(w), np.asarray(b)) for w, b in self.state[0]]

    def _outputs(self, theta: Any, raw: Any) -> Any:
        a = raw.astype(jnp.float32) * np.float32(1 / 255) if raw.dtype == jnp.uint8 else raw
        for (w, b), name in zip(theta, self.cell.activations, strict=True):
            a = ACTIVATIONS[name](a @ w + b)
        return a

    def _cost(self, theta: Any, raw: Any, y: Any) -> Any:
        return 0.5 * self.cell.cost_scale * jnp.square(self._outputs(theta, raw) - y).sum() / len(y)

    def _update(self, state: Any, raw: Any, y: Any) -> Any:
        eta, g = self.cell.learning_rate, jax.grad(self._cost)(state[0], raw, y)
        if self.cell.optimizer == "sgd":
            return (jax.tree.map(lambda p, d: p - eta * d, state[0], g),)
        theta, m, v, t = state
        t = t + 1
        m = jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, m, g)
        v = jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, v, g)
        rate, root = eta / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
        theta = jax.tree.map(lambda p, m, v: p - rate * m / (root * jnp.sqrt(v) + 1e-8), theta, m, v)
        return theta, m, v, t

    def _epoch(self, state: Any, raw: Any, y: Any, order: Any) -> Any:
        def body(state: Any, rows: Any) -> Any:
            take = partial(jnp.take, indices=rows, axis=0, mode="clip")
            return self._update(state, take(raw), take(y)), None

        return jax.lax.scan(body, state, order, unroll=4 if self.cell.batch <= 10 else 1)[0]

    def _steps(self, state: Any, n: Any, raw: Any, y: Any) -> Any:
        return jax.lax.fori_loop(0, n, lambda _, state: self._update(state, raw, y), state)
