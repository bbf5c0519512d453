"""fastbp: train small neural networks fast on a CPU, and see what backpropagation does.

>>> from fastbp import Dense, Network, SGD, Trainer
>>> net = Network(2, [Dense(8, "tanh"), Dense(1, "sigmoid")], seed=1)
>>> x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
>>> history = Trainer(net, SGD(1.0, momentum=0.9), batch_size=4).fit(x, y, epochs=200)
>>> net.classify(x)
array([0, 1, 1, 0])
"""

__version__ = "0.1.0"  # first: modules below import it

from . import callbacks, datasets, schedules
from .errors import CheckpointError, DataError, MissingExtraError, TrainingDiverged
from .explain import Explanation, explain
from .explain_batch import BatchExplanation, explain_batch
from .forensics import SampleForensics, confusion_matrix, sample_forensics
from .gradcheck import GradientCheck, check_gradients
from .gradient import Gradient
from .gradient_log import GradientLog
from .history import History
from .layers import Dense, Dropout
from .model import Network
from .optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from .runtime import show_config, warmup
from .trainer import Trainer

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "BatchExplanation",
    "CheckpointError",
    "DataError",
    "Dense",
    "Dropout",
    "Explanation",
    "Gradient",
    "GradientCheck",
    "GradientLog",
    "History",
    "MissingExtraError",
    "Network",
    "Optimizer",
    "RMSprop",
    "SampleForensics",
    "Trainer",
    "TrainingDiverged",
    "callbacks",
    "check_gradients",
    "confusion_matrix",
    "datasets",
    "explain",
    "explain_batch",
    "sample_forensics",
    "schedules",
    "show_config",
    "warmup",
]
