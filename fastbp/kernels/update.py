"""What an optimizer does to a run of parameters, given their gradient: w, g and up to two state vectors.

With g the gradient of the averaged cost, eta the learning rate, t the number of the update:

    penalties   g += l1 sign(w) + l2 w                                        weights only, biases never
    SGD         v = momentum v + g,  w -= eta v;  Nesterov: w -= eta (g + momentum v)
    RMSprop     s = beta2 s + (1 - beta2) g^2,  w -= eta g / (sqrt(s) + epsilon)
    Adam        m = beta1 m + (1 - beta1) g,  s = beta2 s + (1 - beta2) g^2,
                w -= eta m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon)      Kingma & Ba (2015)
    AdamW       w -= eta weight_decay w, then Adam                            Loshchilov & Hutter (2019)

These are PyTorch's conventions. To add one: a code, a branch of ``update``, a class in optimizers.py, and a row in
tests/reference.py.
"""

from __future__ import annotations

from .._jit import njit
from .simd import (
    copysign,
    fma,
    lanes_of,
    load,
    load_like,
    size_of,
    sqrt,
    store,
    where_negative,
)

SGD, MOMENTUM, RMSPROP, ADAM = range(4)


@njit
def penalised(g, w, l1, l2):
    """g + l1 sign(w) + l2 w, with sign(0) = 0."""
    sign = where_negative(-(w * w), copysign(w * 0.0 + 1.0, w), 0.0)
    return fma(w, l2, g) + l1 * sign


@njit
def _momentum(run, w, g, v_at):
    v = fma(load_like(g, v_at), run.momentum, g)
    store(v, v_at)
    if run.nesterov:
        v = fma(v, run.momentum, g)
    return w - run.eta * v


@njit
def _rmsprop(run, w, g, s_at):
    s = run.beta2 * load_like(g, s_at) + (1.0 - run.beta2) * (g * g)
    store(s, s_at)
    return w - run.eta * g / (sqrt(s) + run.epsilon)


@njit
def _adam(run, w, g, m_at, s_at):
    m = run.beta1 * load_like(g, m_at) + (1.0 - run.beta1) * g
    s = run.beta2 * load_like(g, s_at) + (1.0 - run.beta2) * (g * g)
    store(m, m_at)
    store(s, s_at)
    return w - (run.eta * run.correction1) * m / (sqrt(run.correction2 * s) + run.epsilon)


@njit
def is_plain(run):
    """Whether an update is w -= eta g, which a gradient's sum can end with (matmul.py); 0 where g is 0."""
    return run.optimizer == SGD and run.l1 == 0.0 and run.l2 == 0.0


@njit
def update(one, run, start, count, is_weights):
    """Update ``count`` packed parameters from offset ``start`` with the gradient that lies at the same offset."""
    size = size_of(one)
    kind, eta = run.optimizer, run.eta
    decay = 1.0 - eta * run.weight_decay if is_weights else 1.0
    penalties = is_weights and (run.l1 != 0.0 or run.l2 != 0.0)
    theta, grad, first, second = run.theta, run.grad, run.state1, run.state2
    for at in range(size * start, size * (start + count), size * lanes_of(one)):
        w, g = load(one, theta + at), load(one, grad + at)
        if penalties:
            g = penalised(g, w, run.l1, run.l2)
        if kind == SGD:
            w = w - eta * g
        elif kind == MOMENTUM:
            w = _momentum(run, w, g, first + at)
        elif kind == RMSPROP:
            w = _rmsprop(run, w, g, first + at)
        else:
            w = _adam(run, decay * w, g, first + at, second + at)
        store(w, theta + at)
