"""Network: layers and a cost, and the flat parameters that they share.

The parameters are one flat vector, W1 row-major, b1, W2, b2, ...; ``weights`` and ``biases`` are views of it. What is
given is checked by ``arguments``; the work is done by a ``Workspace`` and the kernels behind it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import arguments
from .errors import unknown_name
from .gradient import Gradient
from .kernels import persample
from .kernels.layout import COST, DELTA, FORWARD
from .layers import Dense, Dropout, views
from .scalars import count
from .tables import Shape
from .workspace import Workspace

# What kernels were told of once: set anew, it would count for some methods, or crash a kernel.
FIXED = ("n_in", "layers", "cost_name", "dtype", "seed", "n_parameters", "weights", "biases")


class Network:
    """A feed-forward network of dense layers, and the cost that training lowers.

    Parameters
    ----------
    n_in : int
        Inputs.
    layers : sequence of Dense and Dropout
        From the first hidden layer to the output. An activation not given is relu in hidden layers and identity in
        the last. A ``Dropout`` stands before the Dense whose inputs it leaves out; ``net.layers`` has the Dense alone.
    cost : str, optional
        Of one sample, summed over its outputs: sum_of_squares, half_sum_of_squares, mean_squared_error (over the
        outputs), absolute_error, huber (half the square up to 1, linear beyond), cross_entropy (after softmax:
        categorical; after sigmoid: binary) or poisson (after exp: a - t log a, of targets of 0 or more).
        ``kernels/costs.py`` has the formulas. By default cross_entropy after softmax and sigmoid, poisson after exp,
        else half_sum_of_squares.
    dtype : str or dtype
        float32 or float64, of parameters and of all arithmetic.
    seed : int
        Of the initial weights.

    Attributes
    ----------
    weights, biases : tuple of ndarray
        By layer: ``weights[l]`` (n_in, n_out), ``biases[l]`` (n_out,), or (0,) without biases. Views: writing to them
        changes the network.
    n_parameters : int
        How many numbers they have in all.
    layers : tuple of Dense
        With what was not given filled in.
    n_in, cost_name, dtype, seed
        As given, or by default.

    Raises
    ------
    TypeError, ValueError
        If a size is impossible, a name unknown, softmax or exp not last, or the cost none for the last activation. By
        the methods, before anything is computed, if x, y or weights do not fit the network or are not finite.

    Examples
    --------
    >>> net = Network(2, [Dense(3, "sigmoid"), Dense(1, "sigmoid")], cost="half_sum_of_squares")
    >>> net.n_parameters
    13
    >>> net.weights[0].shape
    (2, 3)
    """

    def __init__(
        self,
        n_in: int,
        layers: Sequence[Dense | Dropout],
        cost: str | None = None,
        dtype: DTypeLike = "float32",
        seed: int = 0,
    ) -> None:
        self.n_in = count("n_in", n_in)
        self.layers = arguments.layers(layers)
        self.cost_name = arguments.cost(cost, str(self.layers[-1].activation))
        self.dtype = arguments.float_dtype(dtype)
        self.seed = count("seed", seed, 0)
        self._shape = Shape(self.n_in, self.layers, self.cost_name, self.dtype)
        sizes = self._shape.sizes
        self.n_parameters = sum(layer.n_parameters(n) for layer, n in zip(self.layers, sizes, strict=False))
        self._theta = np.zeros(self.n_parameters, self.dtype)
        self.weights, self.biases = views(self._theta, self.n_in, self.layers)
        self._spare: list[Workspace] = []
        rng = np.random.default_rng(self.seed)
        for layer, n, weights in zip(self.layers, sizes, self.weights, strict=False):
            weights[:] = layer.initial_weights(n, rng)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and name in vars(self):
            numbers = name in ("weights", "biases")
            how = f"write into its arrays, {name}[0][:] = ..." if numbers else "make another Network"
            raise AttributeError(f"{name}: cannot be set; {how}")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        rates = [f"Dropout({layer.dropout}), " if layer.dropout else "" for layer in self.layers]
        dense = [f'Dense({layer.n}, "{layer.activation}")' for layer in self.layers]
        layers = ", ".join(rate + layer for rate, layer in zip(rates, dense, strict=True))
        return f'Network({self.n_in}, [{layers}], cost="{self.cost_name}", dtype="{self.dtype}")'

    @property
    def n_out(self) -> int:
        """Outputs.

        Examples
        --------
        >>> Network(4, [Dense(3)]).n_out
        3
        """
        return self.layers[-1].n

    # ------------------------------------------------------------ parameters
    def get_parameters(self) -> np.ndarray:
        """A copy of all parameters: (n_parameters,), W1 row-major, b1, W2, b2, ...

        Examples
        --------
        >>> Network(2, [Dense(1)]).get_parameters().shape
        (3,)
        """
        return self._theta.copy()

    def set_parameters(self, parameters: ArrayLike) -> None:
        """Set all parameters from a vector in the order of ``get_parameters``.

        Raises
        ------
        TypeError, ValueError
            If they are no numbers, of another shape, or NaN or infinity are among them. Nothing is changed then.

        Examples
        --------
        >>> net = Network(2, [Dense(1)])
        >>> net.set_parameters([1, 2, 3])
        >>> net.weights[0].ravel(), net.biases[0]
        (array([1., 2.], dtype=float32), array([3.], dtype=float32))
        """
        self._theta[:] = arguments.parameters("parameters", parameters, self.n_parameters, self.dtype)

    # ------------------------------------------------------------ what a network computes
    def forward(self, x: ArrayLike) -> np.ndarray:
        """The output activations.

        Parameters
        ----------
        x : array_like, (n, n_in), (n, height, width) or one sample (n_in,)
            uint8 (scaled by 1/255), float32 or float64; finite.

        Returns
        -------
        ndarray, (n, n_out), of the network's dtype; (n_out,) for one sample.

        Examples
        --------
        >>> Network(2, [Dense(3, "softmax")]).forward([[0.0, 1.0]]).sum().round(3)
        np.float32(1.0)
        """
        inputs, single = self._inputs(x)
        out = np.empty((len(inputs), self.n_out), self.dtype)
        self._pass(FORWARD, inputs, None, out=out)
        return out[0] if single else out

    def classify(self, x: ArrayLike) -> np.ndarray:
        """The class of each sample: the largest output; with one output, 1 where it is 0.5 or more.

        Parameters
        ----------
        x : array_like
            As in ``forward``.

        Returns
        -------
        ndarray of int64, (n,)

        Examples
        --------
        >>> Network(2, [Dense(3, "softmax")]).classify([[0.0, 1.0], [1.0, 0.0]]).shape
        (2,)
        """
        out = np.atleast_2d(self.forward(x))
        return (out[:, 0] >= 0.5).astype(np.int64) if self.n_out == 1 else out.argmax(axis=1)

    def cost(
        self, x: ArrayLike, y: ArrayLike, reduction: str = "mean", sample_weight: ArrayLike | None = None
    ) -> float:
        """The cost, without penalties, averaged over the samples.

        Parameters
        ----------
        x : array_like
            As in ``forward``.
        y : array_like, (n,) integer classes, or (n, n_out) targets
            With one output also (n,) numbers.
        reduction : str
            "mean" or "sum" over the samples.
        sample_weight : array_like, (n,), optional
            Each sample's cost is multiplied by its weight, 0 or more, not all 0. The mean still divides by n, the
            number of samples, not by the sum of the weights.

        Examples
        --------
        >>> net = Network(2, [Dense(1, initializer="zeros")], cost="sum_of_squares")
        >>> net.cost([[1.0, 2.0], [3.0, 4.0]], [3.0, 1.0])
        5.0
        """
        if reduction not in ("mean", "sum"):
            raise unknown_name("reduction", reduction, ("mean", "sum"))
        inputs, targets = self._samples(x, y)
        weights = None if sample_weight is None else arguments.sample_weight(sample_weight, len(inputs), self.dtype)
        total, _ = self._pass(COST, inputs, targets, weights=weights)
        return total / len(inputs) if reduction == "mean" else total

    def accuracy(self, x: ArrayLike, y: ArrayLike) -> float:
        """The share of samples classified as ``y`` says, 0 to 1; one with an output that is NaN is not.

        Parameters
        ----------
        x, y : array_like
            As in ``cost``.

        Examples
        --------
        >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="sum_of_squares")
        >>> net.accuracy([[1.0], [2.0]], [0.0, 1.0])
        0.5
        """
        inputs, targets = self._samples(x, y)
        return self._pass(COST, inputs, targets)[1] / len(inputs)

    def gradient(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Gradient:
        """The gradient of the cost averaged over the samples, by backpropagation.

        Parameters
        ----------
        x, y : array_like
            As in ``cost``.
        sample_weight : array_like, (n,), optional
            Each sample's gradient is multiplied by its weight, and the sum divided by n.

        Returns
        -------
        Gradient
            ``.flat`` (n_parameters,), and by layer ``.weights[l]``, ``.biases[l]``.

        Notes
        -----
        With delta_l = dC/dz_l: delta_L = dC/da f'(z_L), delta_(l-1) = (delta_l W_l^T) f'(z_(l-1)),
        dC/dW_l = a_(l-1)^T delta_l, dC/db_l = delta_l (Nielsen 2015, ch. 2, BP1 to BP4).

        Examples
        --------
        >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
        >>> net.gradient([[2.0]], [1.0]).flat
        array([-2., -1.], dtype=float32)
        """
        inputs, targets = self._samples(x, y)
        weights = None if sample_weight is None else arguments.sample_weight(sample_weight, len(inputs), self.dtype)
        flat = np.empty(self.n_parameters, self.dtype)
        self._pass(DELTA, inputs, targets, weights=weights, grad=flat)
        return Gradient(flat, self.n_in, self.layers)

    def per_sample_gradients(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Every sample's own gradient: (n, n_parameters). Their mean over axis 0 is ``gradient(x, y).flat``.

        Sample s's gradient for W is the outer product of a_in[s] and delta[s].

        Parameters
        ----------
        x, y : array_like
            As in ``cost``.

        Examples
        --------
        >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
        >>> net.per_sample_gradients([[2.0], [1.0]], [1.0, 3.0]).tolist()
        [[-2.0, -1.0], [-3.0, -3.0]]
        """
        inputs, targets = self._samples(x, y)
        out = np.empty((len(inputs), self.n_parameters), self.dtype)
        self._pass(DELTA, inputs, targets, each=persample.gradients, out=out)
        return out

    def per_sample_gradient_norms(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """The Euclidean norm of every sample's gradient, (n,), without forming the gradients.

        |g|^2 is the sum over the layers of |delta|^2 (|a_in|^2 + 1), the 1 for the biases (Goodfellow 2015).

        Parameters
        ----------
        x, y : array_like
            As in ``cost``.

        Examples
        --------
        >>> net = Network(1, [Dense(1, "identity", initializer="zeros")], cost="half_sum_of_squares")
        >>> net.per_sample_gradient_norms([[1.0]], [1.0]).round(4)
        array([1.4142], dtype=float32)
        """
        inputs, targets = self._samples(x, y)
        out = np.empty(len(inputs), self.dtype)
        self._pass(DELTA, inputs, targets, each=persample.norms, out=out)
        return out

    # ------------------------------------------------------------ files and configuration
    def config(self) -> dict[str, Any]:
        """What makes this network, but for its parameters, as plain data that JSON can hold.

        Examples
        --------
        >>> Network.from_config(Network(2, [Dense(1)]).config()).n_parameters
        3
        """
        layers = [asdict(layer) for layer in self.layers]
        return {
            "n_in": self.n_in, "layers": layers, "cost": self.cost_name, "dtype": self.dtype.name, "seed": self.seed,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Network:
        """A new network from what ``config`` returned.

        Raises
        ------
        TypeError, ValueError
            If the configuration describes no possible network.

        Examples
        --------
        >>> Network.from_config({"n_in": 2, "layers": [{"n": 1}], "cost": None, "dtype": "float64", "seed": 1}).dtype
        dtype('float64')
        """
        if not isinstance(config, Mapping):
            raise TypeError(f"config: got a {type(config).__name__}, expected what config() returns")
        try:
            layers = [Dense(**layer) for layer in config["layers"]]
            rest = {name: config[name] for name in ("n_in", "cost", "dtype", "seed")}
        except KeyError as error:
            raise ValueError(f"config: {error.args[0]!r} is missing") from None
        return cls(layers=layers, **rest)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, whole or not at all.

        Parameters
        ----------
        path : str or PathLike
            The file's name as given, .npz by custom.

        Raises
        ------
        ValueError, OSError
            If a parameter is NaN or infinite; if the file cannot be written.

        Examples
        --------
        >>> Network(2, [Dense(1)]).save(tmp / "net.npz")  # doctest: +SKIP
        """
        from . import checkpoint

        checkpoint.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Network:
        """Read a network that ``save`` wrote, or that of a training's checkpoint.

        Parameters
        ----------
        path : str or PathLike
            The file.

        Raises
        ------
        FileNotFoundError, CheckpointError
            If there is no such file; if it is truncated, corrupt, of a newer version or not one of ours.

        Examples
        --------
        >>> Network.load("net.npz")  # doctest: +SKIP
        """
        from . import checkpoint

        return checkpoint.load(path)

    # ------------------------------------------------------------ other programs
    def to_onnx(self, path: str | os.PathLike[str], input_dtype: str | None = None) -> None:
        """Write the network as an ONNX file (opset 13, IR version 7), whole or not at all.

        The graph takes ``x`` (batch, n_in) and gives ``outputs`` (batch, n_out) in the network's dtype, for any batch.

        Parameters
        ----------
        path : str or PathLike
            The file's name as given.
        input_dtype : str, optional
            Of ``x``: the network's dtype by default. "uint8" for a network that was trained on uint8 images, which
            the graph then scales by 1/255 as fastbp does; a network does not know what it was trained on.

        Raises
        ------
        MissingExtraError
            If onnx is not installed: ``pip install -e ".[exchange]"``.
        ValueError, OSError
            If a parameter is NaN or infinite, or all are over 2 GB; if the file cannot be written.

        Examples
        --------
        >>> Network(784, [Dense(10, "softmax")]).to_onnx("net.onnx", input_dtype="uint8")  # doctest: +SKIP
        """
        from .exchange import onnx

        onnx.write(self, path, input_dtype)

    def to_c(self, path: str | os.PathLike[str], input_dtype: str | None = None, name: str = "network") -> None:
        """Write the network as one file of C99 that needs math.h only, whole or not at all.

        It defines ``void NAME_forward(const T x[n_in], R out[n_out])`` and ``int NAME_classify(const T x[n_in])``, R
        being float or double as the network's dtype. Nothing is allocated; the weights are constants.

        Parameters
        ----------
        path : str or PathLike
            The file's name as given.
        input_dtype : str, optional
            T: the network's dtype by default; "uint8" (unsigned char, scaled by 1/255 there), "float32", "float64".
        name : str
            What the names in the file begin with.

        Raises
        ------
        ValueError, OSError
            If a parameter is NaN or infinite, or ``name`` is no C name; if the file cannot be written.

        Examples
        --------
        >>> Network(784, [Dense(10, "softmax")]).to_c("digits.c", "uint8", name="digits")  # doctest: +SKIP
        """
        from .exchange import c

        c.write(self, path, input_dtype, name)

    def to_torch(self) -> Any:
        """The network as a ``torch.nn.Sequential`` of Linear, activations and Dropout, with copies of the parameters.

        It is in evaluation mode, and computes what ``forward`` does; ``.train()`` lets it drop out.

        Raises
        ------
        MissingExtraError, ValueError
            If torch is not installed; if a parameter is NaN or infinite.

        Examples
        --------
        >>> Network(2, [Dense(1, "sigmoid")]).to_torch()  # doctest: +SKIP
        Sequential(
          (0): Linear(in_features=2, out_features=1, bias=True)
          (1): Sigmoid()
        )
        """
        from .exchange import torch

        return torch.to_module(self)

    @staticmethod
    def from_torch(module: Any, cost: str | None = None) -> Network:
        """A network that computes what a ``torch.nn`` module computes outside training, with copies of its parameters.

        Parameters
        ----------
        module : torch.nn.Module
            A Sequential, nested or not, of Linear, the activations that fastbp has (GELU in its tanh form, the others
            with PyTorch's defaults), Dropout, which is kept where it stands before a Linear and changes nothing
            elsewhere outside training, and Identity and Flatten, which change nothing here.
        cost : str, optional
            As in ``Network``; PyTorch keeps the cost apart from the module.

        Raises
        ------
        MissingExtraError, ValueError
            If torch is not installed; if there is another module, another option, NaN or infinity. It is named.

        Examples
        --------
        >>> from torch import nn  # doctest: +SKIP
        >>> Network.from_torch(nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=1)))  # doctest: +SKIP
        Network(2, [Dense(3, "softmax")], cost="cross_entropy", dtype="float32")
        """
        from .exchange import torch

        return torch.from_module(module, cost)

    def to_safetensors(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters under PyTorch's names ("0.weight", ...) with the configuration, whole or not at all.

        The file is the state dict of ``to_torch()``: PyTorch loads it with ``safetensors.torch.load_file``.

        Raises
        ------
        MissingExtraError
            If safetensors is not installed: ``pip install -e ".[exchange]"``.
        ValueError, OSError
            If a parameter is NaN or infinite; if the file cannot be written.

        Examples
        --------
        >>> Network(2, [Dense(1)]).to_safetensors("net.safetensors")  # doctest: +SKIP
        """
        from .exchange import safetensors

        safetensors.write(self, path)

    @staticmethod
    def from_safetensors(path: str | os.PathLike[str], config: dict[str, Any] | None = None) -> Network:
        """Read a network that ``to_safetensors`` wrote, or a state dict that PyTorch users saved as safetensors.

        Parameters
        ----------
        path : str or PathLike
            The file.
        config : dict, optional
            As ``config()`` returns it, for a file that fastbp did not write: its architecture.

        Raises
        ------
        MissingExtraError, FileNotFoundError
            If safetensors is not installed; if there is no such file.
        CheckpointError
            If a tensor is missing, of no layer, of another shape or dtype, or holds NaN; if the file is corrupt.

        Examples
        --------
        >>> Network.from_safetensors("net.safetensors")  # doctest: +SKIP
        """
        from .exchange import safetensors

        return safetensors.read(path, config)

    # ------------------------------------------------------------ the work
    def _inputs(self, x: ArrayLike) -> tuple[np.ndarray, bool]:
        return arguments.inputs(x, self.n_in, self.dtype)

    def _samples(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """x and y as the kernels take them, checked."""
        inputs, single = self._inputs(x)
        return inputs, arguments.targets(y, len(inputs), self.n_out, self.cost_name, self.dtype, single)

    def _pass(
        self,
        what: int,
        inputs: np.ndarray,
        targets: np.ndarray | None,
        *,
        weights: np.ndarray | None = None,
        grad: np.ndarray | None = None,
        out: np.ndarray | None = None,
        each: Any = None,
        n_threads: int | None = None,
    ) -> tuple[float, int]:
        """Send all samples through the kernels: (summed cost, how many were classified right).

        ``each``: a task of ``kernels/persample.py`` or ``states.py``, for every block's deltas in place of a gradient.
        """
        n = len(inputs)
        workspace = self._borrow(n)
        try:
            workspace.point_at(inputs, targets, weights=weights)
            workspace.prepare(what, n, self._theta, grad=grad, out=out, each=each)
            workspace.launch(0, n, workspace.threads_for_one_call(n_threads, n))
            return workspace.totals()
        finally:
            self._spare.append(workspace)

    def _borrow(self, n: int) -> Workspace:
        """A workspace nobody else is using: kept ones serve again, so that small calls allocate nothing."""
        try:
            while not (spare := self._spare.pop()).fits(n):
                pass  # too small for this call, and for the next like it
            return spare
        except IndexError:  # none is left
            return Workspace(self._shape, n)

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config(), "parameters": self.get_parameters()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(Network.from_config(state["config"]).__dict__)
        self._theta[:] = state["parameters"]  # as they were, also where they diverged


def require_finite(argument: str, network: Network) -> None:
    """A ValueError that names the argument, if one of the network's parameters is NaN or infinite."""
    if not arguments.finite(network._theta):
        bad = int(np.count_nonzero(~np.isfinite(network._theta)))
        raise ValueError(f"{argument}: got {bad} parameters that are NaN or infinite, expected finite ones")


def require_network(argument: str, given: object) -> None:
    """A TypeError that names the argument, unless it is a Network."""
    if not isinstance(given, Network):
        raise TypeError(f"{argument}: got a {type(given).__name__}, expected a Network")
