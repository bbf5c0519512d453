"""Saving and loading: the same bits back, and never a half-written file where a good one was."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fastbp
from fastbp import CheckpointError, Dense, Network

X = np.linspace(-1.0, 1.0, 35).reshape(7, 5)
Y = np.array([0, 1, 2, 0, 1, 2, 0])


def make(dtype: str = "float32", seed: int = 3) -> Network:
    """A network with every kind of layer option."""
    layers = [Dense(17, "gelu"), Dense(4, "tanh", bias=False), Dense(3, "softmax")]
    return Network(5, layers, cost="cross_entropy", dtype=dtype, seed=seed)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A good file, alone in its folder."""
    path = tmp_path / "model.npz"
    make().save(path)
    return path


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("as_text", [True, False])
def test_load_gives_the_same_network(dtype: str, as_text: bool, tmp_path: Path) -> None:
    network, path = make(dtype), tmp_path / "model.npz"
    network.save(str(path) if as_text else path)
    loaded = Network.load(str(path) if as_text else path)
    assert loaded.get_parameters().dtype == dtype
    np.testing.assert_array_equal(loaded.get_parameters(), network.get_parameters())
    np.testing.assert_array_equal(loaded.forward(X), network.forward(X))
    np.testing.assert_array_equal(loaded.gradient(X, Y).flat, network.gradient(X, Y).flat)
    assert loaded.cost(X, Y) == network.cost(X, Y)
    assert os.listdir(tmp_path) == ["model.npz"]


def test_a_loaded_network_trains_to_the_same_bits(saved: Path) -> None:
    networks = [make(), Network.load(saved)]
    for network in networks:
        fastbp.Trainer(network, fastbp.SGD(0.1), batch_size=2).fit(X, Y, epochs=2)
    np.testing.assert_array_equal(networks[1].get_parameters(), networks[0].get_parameters())


def test_saving_again_replaces_the_file(saved: Path) -> None:
    other = make(seed=4)
    other.save(saved)
    np.testing.assert_array_equal(Network.load(saved).get_parameters(), other.get_parameters())
    assert os.listdir(saved.parent) == [saved.name]


def test_the_name_is_kept_as_given(tmp_path: Path) -> None:
    make().save(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]
    Network.load(tmp_path / "model")


def test_every_truncation_is_noticed(saved: Path, tmp_path: Path) -> None:
    whole, cut = saved.read_bytes(), tmp_path / "cut.npz"
    for size in [0, 1, 10, *range(50, len(whole), len(whole) // 20), len(whole) - 1]:
        cut.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"cut\.npz"):
            Network.load(cut)


def test_a_changed_byte_never_changes_a_parameter(saved: Path, tmp_path: Path) -> None:
    whole, bad, want = saved.read_bytes(), tmp_path / "bad.npz", make()
    noticed = 0
    for at in range(0, len(whole), 7):
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            loaded = Network.load(bad)
        except CheckpointError:
            noticed += 1
        else:  # the byte said nothing about the network, such as the time in a zip header
            np.testing.assert_array_equal(loaded.forward(X), want.forward(X))
    assert noticed > 0.5 * len(range(0, len(whole), 7))


def test_parameters_swapped_for_others_are_noticed(saved: Path, tmp_path: Path) -> None:
    # A consistent zip, so that only the checksum over the contents can tell.
    with np.load(saved, allow_pickle=False) as archive:
        arrays = dict(archive)
    name = max(arrays, key=lambda key: arrays[key].nbytes if arrays[key].dtype.kind == "f" else -1)
    arrays[name] = arrays[name] * 1.5
    np.savez(tmp_path / "forged.npz", **arrays)
    with pytest.raises(CheckpointError, match=r"forged\.npz"):
        Network.load(tmp_path / "forged.npz")


def rewritten(saved: Path, **changes: object) -> bytes:
    """Return a good file with changes to its header, its checksum made to agree."""
    with np.load(saved, allow_pickle=False) as archive:
        header, parameters = json.loads(archive["header"].item()), archive["parameters"]
    text, buffer = json.dumps({**header, **changes}).encode(), io.BytesIO()
    checksum = hashlib.sha256(text + parameters.tobytes()).hexdigest().encode()
    np.savez(buffer, header=np.array(text), parameters=parameters, sha256=np.array(checksum))
    return buffer.getvalue()


def test_headers_that_cannot_be_right(saved: Path, tmp_path: Path) -> None:
    path, config = tmp_path / "odd.npz", make().config()
    path.write_bytes(rewritten(saved))
    np.testing.assert_array_equal(Network.load(path).forward(X), make().forward(X))
    for reason, changes in [
        ("version 99.*upgrade", {"version": 99}),
        ("something else", {"format": "something else"}),
        ("", {"config": {**config, "dtype": "float64"}}),
        ("", {"config": {**config, "n_in": 6}}),
        ("", {"config": {**config, "n_in": 2**60}}),
        ("", {"config": {**config, "cost": "no such cost"}}),
        ("", {"config": {**config, "layers": []}}),
        ("", {"config": {**config, "layers": [{"n": 8, "activation": "os.system"}]}}),
        ("", {"config": None}),
    ]:
        path.write_bytes(rewritten(saved, **changes))
        with pytest.raises(CheckpointError, match=rf"odd\.npz.*{reason}"):
            Network.load(path)


class Trap:
    """Unpickling it would fail the test."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a file was unpickled",))


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    def written(save: object) -> bytes:
        buffer = io.BytesIO()
        save(buffer)  # type: ignore[operator]
        return buffer.getvalue()

    def plain_zip(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("readme.txt", "hello")

    trap = np.array([Trap()], dtype=object)
    for content in [
        b"hello, I am a text file",
        written(plain_zip),
        written(lambda buffer: np.savez(buffer, w=np.ones(3))),
        written(lambda buffer: np.save(buffer, np.ones(3))),
        written(lambda buffer: np.savez(buffer, header=trap, theta=trap, parameters=trap)),
        pickle.dumps(Trap()),
    ]:
        (tmp_path / "foreign.npz").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"foreign\.npz"):
            Network.load(tmp_path / "foreign.npz")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises((CheckpointError, FileNotFoundError), match=r"absent\.npz"):
        Network.load(tmp_path / "absent.npz")
    with pytest.raises((CheckpointError, OSError)):
        Network.load(tmp_path)
    with pytest.raises(OSError, match="nowhere"):
        make().save(tmp_path / "nowhere" / "model.npz")


def assert_untouched(saved: Path, before: bytes) -> None:
    """The good file is as it was, and nothing lies beside it."""
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_save_that_fails_at_the_end_keeps_the_good_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="No space"):
            make(seed=4).save(saved)
    assert_untouched(saved, before)


def test_a_full_disk_keeps_the_good_file(saved: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are a POSIX matter")
    before, big = saved.read_bytes(), Network(500, [Dense(300), Dense(3, "softmax")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # a sixth of what the network needs
    try:
        with pytest.raises(OSError, match=r"[Ff]ile too large"):
            big.save(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_untouched(saved, before)


def test_a_pipe_is_written_to() -> None:
    read, write = os.pipe()
    make().save(f"/dev/fd/{write}")
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert file.read(4) == b"PK\x03\x04"


def test_an_interrupted_save_keeps_the_good_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make(seed=4).save(saved)
    assert_untouched(saved, before)
