"""scikit-learn's ``MLPClassifier`` and ``MLPRegressor``, with fastbp's kernels behind them (extra ``sklearn``).

Names, defaults, attributes, warnings and errors are scikit-learn's; docs/how-to/scikit-learn.md says what there is
beyond them, and where the two differ.

>>> from fastbp.estimators import MLPClassifier
>>> x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["even", "odd", "odd", "even"]
>>> model = MLPClassifier(8, "tanh", solver="lbfgs", random_state=0).fit(x, y)
>>> model.predict(x).tolist()
['even', 'odd', 'odd', 'even']
"""

try:
    from sklearn.utils.validation import validate_data  # noqa: F401 (scikit-learn 1.6 or newer)
except ImportError as error:
    from ..errors import MissingExtraError

    raise MissingExtraError("scikit-learn>=1.6", "sklearn", "fastbp.estimators") from error

from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
