"""Files from a mirror: into memory, within a time limit, checked before anything is written."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

from numpy.typing import NDArray

from fastbp.datasets.catalog import Entry, IdxFile
from fastbp.datasets.idx import decode, digest
from fastbp.errors import DataError, MissingExtraError

STALL_SECONDS = 10.0  # a mirror that is silent for so long is given up
_SLACK = 1 << 16  # what gzip may add to bytes that it cannot compress


def download(entry: Entry, file: IdxFile, deadline: float) -> NDArray[Any]:
    """Return ``file`` from the first mirror of ``entry`` that gives the right bytes.

    Parameters
    ----------
    entry, file : Entry, IdxFile
        What to get.
    deadline : float
        When to give up, in seconds of ``time.monotonic``.

    Raises
    ------
    DataError
        No mirror gave the file; the message says why, mirror by mirror.
    MissingExtraError
        pooch is not installed.
    """
    failures = []
    for mirror in entry.mirrors:
        url = f"{mirror}{file.name}.gz"
        try:
            data = _get(url, file.n_bytes + _SLACK, deadline)
            array = decode(io.BytesIO(data), url, len(data), file.n_bytes)
        except (DataError, OSError) as error:  # requests' own errors are OSErrors
            failures.append(f"{url}: {_brief(error)}")
            continue
        if digest(array) == file.sha256:
            return array
        failures.append(f"{url}: other bytes than the SHA-256 asks for")
    raise DataError("; ".join(failures))


def _brief(error: BaseException) -> str:
    """Say in a few words what went wrong: requests wraps the one that tells, and repeats the URL in every layer."""
    while not isinstance(error, DataError) and error.__context__:
        error = error.__context__
    return f"{type(error).__name__}: {str(error)[:160]}"


class _Bounded(io.BytesIO):
    """A buffer that refuses to grow past ``limit`` or to take anything after ``deadline``."""

    def __init__(self, limit: int, deadline: float) -> None:
        super().__init__()
        self.limit, self.deadline = limit, deadline

    def write(self, data: Any) -> int:
        """Take ``data``, or raise DataError (too much) or TimeoutError (too late)."""
        if self.tell() + len(data) > self.limit:
            raise DataError(f"sends more than the {self.limit} bytes that the file can have")
        if time.monotonic() > self.deadline:
            raise TimeoutError("out of time")
        return super().write(data)


def _get(url: str, limit: int, deadline: float) -> bytes:
    """Return what ``url`` sends.

    requests bounds the silence between two bytes, not the whole: a server that sends a byte now and then would hold
    it for ever. So it runs in a thread that is left alone at the deadline, and that ends at its next write.
    """
    try:
        from pooch import HTTPDownloader
    except ImportError as error:
        raise MissingExtraError("pooch", "examples", "downloading data") from error
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("out of time")
    buffer = _Bounded(limit, deadline)
    failures: list[Exception] = []
    responses: list[Any] = []  # pooch leaves a response that failed open: close them here

    def work() -> None:
        hooks = {"response": lambda response, *_, **__: responses.append(response)}
        try:
            HTTPDownloader(chunk_size=1 << 16, timeout=min(STALL_SECONDS, left), hooks=hooks)(url, buffer, None)
        except Exception as error:  # handed to the caller below: nobody looks at a thread's traceback
            failures.append(error)
        finally:
            for response in responses:
                response.close()

    thread = threading.Thread(target=work, name="fastbp-download", daemon=True)
    thread.start()
    thread.join(left)
    if thread.is_alive():
        raise TimeoutError("out of time")
    if failures:
        raise failures[0]
    return buffer.getvalue()
