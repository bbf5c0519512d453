"""C: a network as one file of C99 with its weights, for programs and microcontrollers without any library.

The weights are constants, which a linker puts into flash; the code allocates nothing and keeps no state. What
``forward`` sums it sums in another order than fastbp's kernels, so that outputs agree to rounding, not to the bit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import numpy as np

from ..archive import atomic_write
from ..kernels.activations import GELU_CUBIC, GELU_SLOPE, LEAK
from ..model import Network
from .parts import PIXEL, input_dtype_of, parts

C_TYPES = {"uint8": "unsigned char", "float32": "float", "float64": "double"}
SUFFIX = {"float32": "f", "float64": ""}

# activation: f(z) in C. {f} is the suffix of float's functions and literals: f, or nothing for double.
FORMULAS = {
    "sigmoid": "1 / (1 + exp{f}(-z))",
    "tanh": "tanh{f}(z)",
    "relu": "z > 0 ? z : 0",
    "leaky_relu": f"z > 0 ? z : {LEAK}{{f}} * z",
    "elu": "z > 0 ? z : expm1{f}(z)",
    "softplus": "(z > 0 ? z : 0) + log1p{f}(exp{f}(-fabs{f}(z)))",
    "exp": "exp{f}(z)",
    "gelu": f"z / 2 * (1 + tanh{{f}}({GELU_SLOPE}{{f}} * z * (1 + {GELU_CUBIC}{{f}} * z * z)))",
}

HEADING = """\
/* The network {sizes}, written by fastbp.
 *
 *     {forward};
 *     {classify};
 *
 * Declare these two where they are called and compile this file beside, or include it.
 *
 * x        {inputs}
 * out      the outputs; must not overlap x
 * returns  {classes}
 *
 * C99 and math.h. No allocation and no state: threads and interrupts may call it at any time.
 * Constants: {constants:,} bytes, read-only. Stack: {stack:,} bytes of activations, and a few words.
 */
#include <math.h>

{forward};
{classify};
"""

SOFTMAX = """\
static void {name}_softmax({real} *a, int n)
{{
    {real} top = a[0], total = 0;
    int j;

    for (j = 1; j < n; j++) {{
        if (a[j] > top) {{
            top = a[j];
        }}
    }}
    for (j = 0; j < n; j++) {{
        a[j] = exp{f}(a[j] - top);
        total += a[j];
    }}
    for (j = 0; j < n; j++) {{
        a[j] /= total;
    }}
}}
"""

LAYER = """\
    /* layer {number}: {n_in} to {n_out}, {activation} */
    for (j = 0; j < {n_out}; j++) {{
        {out}[j] = {bias};
    }}
    for (i = 0; i < {n_in}; i++) {{
        const {real} v = {value};
        if (v == 0) {{
            continue; /* a dark pixel, a unit that is off */
        }}
        for (j = 0; j < {n_out}; j++) {{
            {out}[j] += v * {name}_w{number}[i][j];
        }}
    }}
"""

EACH = """\
    for (j = 0; j < {n_out}; j++) {{
        {out}[j] = {name}_{activation}({out}[j]);
    }}
"""

LARGEST = """\
    {real} out[{n_out}];
    int best = 0, j;

    {name}_forward(x, out);
    for (j = 1; j < {n_out}; j++) {{
        if (out[j] > out[best]) {{
            best = j;
        }}
    }}
    return best;
"""

HALF = """\
    {real} out[1];

    {name}_forward(x, out);
    return out[0] >= 0.5{f};
"""


def write(net: Network, path: str | os.PathLike[str], input_dtype: str | None = None, name: str = "network") -> None:
    """Write a network as a file of C; see ``Network.to_c``.

    Examples
    --------
    >>> import tempfile
    >>> from fastbp import Dense
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Network(2, [Dense(3, "tanh"), Dense(2, "softmax")]), f"{folder}/net.c")
    ...     os.listdir(folder)
    ['net.c']
    """
    atomic_write(path, source(net, input_dtype, name).encode("ascii"))


def source(net: Network, input_dtype: str | None = None, name: str = "network") -> str:
    """Return the text of the file.

    Examples
    --------
    >>> from fastbp import Dense
    >>> net = Network(1, [Dense(2, "relu", bias=False)], dtype="float64")
    >>> net.set_parameters([0.1, -2])
    >>> [line.strip() for line in source(net).splitlines() if "0.1" in line]
    ['{0.10000000000000001, -2.0},']
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name: got {name!r}, expected the beginning of a C name: a letter, then letters, digits, _")
    return _Program(net, input_dtype_of(net, input_dtype), name).text()


class _Program:
    """The file, piece by piece."""

    def __init__(self, net: Network, given: np.dtype, name: str) -> None:
        self.net, self.layers, self.name = net, parts(net), name
        self.given, self.real = C_TYPES[given.name], C_TYPES[net.dtype.name]
        self.widths = [len(part.weights) for part in self.layers[1:]]  # of the hidden layers
        self.common = {"name": name, "real": self.real, "f": SUFFIX[net.dtype.name]}
        self.declared = {
            "forward": f"void {name}_forward(const {self.given} x[{net.n_in}], {self.real} out[{net.n_out}])",
            "classify": f"int {name}_classify(const {self.given} x[{net.n_in}])",
        }

    def text(self) -> str:
        return "\n".join([self.heading(), *self.constants(), *self.functions(), self.forward(), self.classify()])

    def heading(self) -> str:
        net = self.net
        return HEADING.format(
            **self.declared,
            sizes="-".join(map(str, net._shape.sizes)),
            inputs="0 to 255; scaled by 1/255 here" if self.given == C_TYPES["uint8"] else "scaled as in training",
            classes="the place of the largest output" if net.n_out > 1 else "1 where the output is 0.5 or more, else 0",
            constants=net.n_parameters * net.dtype.itemsize,
            stack=(min(2, len(self.widths)) * max(self.widths, default=0) + net.n_out) * net.dtype.itemsize,
        )

    def constants(self) -> Iterator[str]:
        for number, (weights, biases, _) in enumerate(self.layers, 1):
            n_in, n_out = weights.shape
            rows = "\n".join(f"    {{{literals(row)}}}," for row in weights)
            yield f"static const {self.real} {self.name}_w{number}[{n_in}][{n_out}] = {{\n{rows}\n}};\n"
            if biases is not None:
                yield f"static const {self.real} {self.name}_b{number}[{n_out}] = {{\n    {literals(biases)}\n}};\n"

    def functions(self) -> Iterator[str]:
        """The activations that the network has, each once."""
        for activation in dict.fromkeys(part.activation for part in self.layers):
            if activation == "softmax":
                yield SOFTMAX.format(**self.common)
            elif activation != "identity":
                formula = FORMULAS[activation].format(**self.common)
                head = f"static {self.real} {self.name}_{activation}({self.real} z)"
                yield f"{head}\n{{\n    return {formula};\n}}\n"

    def forward(self) -> str:
        """Layer by layer: what layer l computes is in a[(l + 1) % 2], where layer l + 1 finds it."""
        pieces = [f"{self.declared['forward']}\n{{\n"]
        if self.widths:
            pieces.append(f"    {self.real} a[{min(2, len(self.widths))}][{max(self.widths)}];\n")
        pieces.append("    int i, j;\n")
        for number, (weights, biases, activation) in enumerate(self.layers, 1):
            layer = self.common | {
                "number": number, "n_in": len(weights), "n_out": weights.shape[1], "activation": activation,
                "value": f"a[{number % 2}][i]" if number > 1 else self.first_value(),
                "out": f"a[{(number + 1) % 2}]" if number < len(self.layers) else "out",
                "bias": "0" if biases is None else f"{self.name}_b{number}[j]",
            }  # fmt: skip
            pieces.append("\n" + LAYER.format(**layer))
            if activation == "softmax":
                pieces.append(f"    {self.name}_softmax({layer['out']}, {layer['n_out']});\n")
            elif activation != "identity":
                pieces.append(EACH.format(**layer))
        return "".join([*pieces, "}\n"])

    def first_value(self) -> str:
        """Input i as the network's own type; times 1/255 and not over 255, as fastbp's kernels do it."""
        if self.given == C_TYPES["uint8"]:
            return f"({self.real})x[i] * {literals(np.array([PIXEL], self.net.dtype))}"
        return "x[i]" if self.given == self.real else f"({self.real})x[i]"

    def classify(self) -> str:
        body = LARGEST if self.net.n_out > 1 else HALF
        return f"{self.declared['classify']}\n{{\n{body.format(**self.common, n_out=self.net.n_out)}}}\n"


def literals(row: np.ndarray) -> str:
    """Numbers in C, of 9 digits, or 17 for doubles: so many that reading them gives back every bit.

    Examples
    --------
    >>> literals(np.array([0.1, 2, -1e-9], np.float32))
    '0.100000001f, 2.0f, -9.99999972e-10f'
    """
    digits = 9 if row.dtype == np.float32 else 17
    texts = [f"{value:.{digits}g}" for value in row.tolist()]
    numbers = [(text if set(text) & set(".e") else f"{text}.0") + SUFFIX[row.dtype.name] for text in texts]
    return ",\n     ".join(", ".join(numbers[at : at + 6]) for at in range(0, len(numbers), 6))
