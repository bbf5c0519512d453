"""safetensors: the same network back, PyTorch's names, and nothing believed that does not fit."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchanged import ACTIVATIONS, TRAP, assert_nothing_written, make, metadata_of

from fastbp import CheckpointError, Dense, Dropout, MissingExtraError, Network

safetensors = pytest.importorskip("safetensors.numpy", reason='needs safetensors: pip install "fastbp[exchange]"')


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_same_network_back(activation: str, dtype: str, tmp_path: Path) -> None:
    network, path = make(activation, dtype), tmp_path / "net.safetensors"
    network.to_safetensors(path)
    again = Network.from_safetensors(path)
    assert again.config() == network.config()
    np.testing.assert_array_equal(again.get_parameters(), network.get_parameters())
    assert os.listdir(tmp_path) == [path.name]


def test_dropout_is_a_module_of_its_own_in_the_names(tmp_path: Path) -> None:
    layers = [Dropout(0.2), Dense(4, "tanh"), Dropout(0.5), Dense(3), Dense(2, "softmax")]
    network, path = Network(5, layers, seed=1), tmp_path / "net.safetensors"
    network.to_safetensors(path)
    loaded = safetensors.load_file(path)
    assert sorted(loaded) == [f"{name}.{kind}" for name in "146" for kind in ("bias", "weight")]
    again = Network.from_safetensors(path)
    assert again.config() == network.config()
    np.testing.assert_array_equal(again.get_parameters(), network.get_parameters())
    # A module that calls dropout as a function has other names.
    renamed = {f"{'024'['146'.index(name[0])]}{name[1:]}": tensor for name, tensor in loaded.items()}
    safetensors.save_file(renamed, path)
    again = Network.from_safetensors(path, config=network.config())
    assert again.config() == network.config()
    np.testing.assert_array_equal(again.get_parameters(), network.get_parameters())


def test_pytorch_loads_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    for activation in sorted({*ACTIVATIONS} - {"exp"}):  # torch.nn has no module for exp
        network, path = make(activation, "float64"), tmp_path / "net.safetensors"
        network.to_safetensors(path)
        module = network.to_torch()
        state = module.state_dict()
        loaded = load_file(path)
        assert set(loaded) == set(state)
        assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_a_state_dict_that_pytorch_saved(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    network, path = make("relu"), tmp_path / "net.safetensors"
    save_file(network.to_torch().state_dict(), path)
    with pytest.raises(CheckpointError, match=r"net\.safetensors: does not say of which network.*config="):
        Network.from_safetensors(path)
    again = Network.from_safetensors(path, config=network.config())
    np.testing.assert_array_equal(again.get_parameters(), network.get_parameters())


def tensors() -> dict[str, Any]:
    """The tensors of make("tanh")."""
    network = make("tanh")
    named: dict[str, Any] = {f"{2 * i}.weight": weights.T.copy() for i, weights in enumerate(network.weights)}
    named |= {f"{2 * i}.bias": biases.copy() for i, biases in enumerate(network.biases) if len(biases)}
    return named


def nan_at(array: Any) -> Any:
    array.flat[1] = np.nan
    return array


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"2.weight": None}, r"tensor 2\.weight is missing; the network has 0\.weight, 0\.bias, 2\.weight"),
    "extra": ({"2.bias": np.zeros(4, np.float32)}, r"tensor 2\.bias is of no layer"),
    "another": ({"running_mean": np.zeros(4, np.float32)}, r"tensor running_mean is of no layer"),
    "transposed": ({"0.weight": tensors()["0.weight"].T.copy()}, r"tensor 0\.weight has shape \(5, 7\).* \(7, 5\)"),
    "longer": ({"4.bias": np.zeros(4, np.float32)}, r"tensor 4\.bias has shape \(4,\), the network \(3,\)"),
    "float16": ({"4.bias": np.zeros(3, np.float16)}, r"tensor 4\.bias is F16, the network float32"),
    "float64": ({"0.weight": tensors()["0.weight"].astype(np.float64)}, r"tensor 0\.weight is F64"),
    "NaN": ({"4.weight": nan_at(tensors()["4.weight"])}, r"tensor 4\.weight: got NaN"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_tensors_that_do_not_fit(case: str, tmp_path: Path) -> None:
    path, (changes, message) = tmp_path / "net.safetensors", CHANGED[case]
    path.write_bytes(safetensors.save(tensors(), metadata_of(make("tanh").config())))
    np.testing.assert_array_equal(Network.from_safetensors(path).get_parameters(), make("tanh").get_parameters())
    changed = {name: array for name, array in (tensors() | changes).items() if array is not None}
    path.write_bytes(safetensors.save(changed, metadata_of(make("tanh").config())))
    with pytest.raises(CheckpointError, match=rf"net\.safetensors: {message}"):
        Network.from_safetensors(path)


def test_metadata_that_cannot_be_right(tmp_path: Path) -> None:
    path, config = tmp_path / "net.safetensors", make("tanh").config()
    for metadata, message in [
        ({"fastbp": "{"}, ""),
        ({"fastbp": "[]"}, "corrupt"),
        ({"fastbp": "{}"}, "corrupt.*'version'"),
        (metadata_of(config, version="1"), "corrupt"),
        (metadata_of(config, version=99), "version 99.*upgrade"),
        (metadata_of(None), "corrupt"),
        (metadata_of([1, 2]), "corrupt"),
        (metadata_of({**config, "n_in": 6}), r"0\.weight has shape"),
        (metadata_of({**config, "n_in": 2**60}), r"0\.weight has shape"),
        (metadata_of({**config, "n_in": "five"}), r"0\.weight has shape"),
        (metadata_of({**config, "dtype": "int8"}), "dtype: got 'int8'"),
        (metadata_of({**config, "layers": []}), "layers: got none"),
        (metadata_of({**config, "layers": [{"n": 7, "activation": "os.system"}]}), "'os.system'"),
        (metadata_of({**config, "layers": [{"n": 7, "units": 7}]}), "corrupt.*'units'"),
        (metadata_of({**config, "cost": "no such cost"}), "'no such cost'"),
        (metadata_of({**config, "seed": "zero"}), "corrupt.*seed: got 'zero'"),
        (metadata_of({name: config[name] for name in ("n_in", "layers", "dtype")}), "'cost' is missing"),
    ]:
        path.write_bytes(safetensors.save(tensors(), metadata))
        with pytest.raises(CheckpointError, match=rf"net\.safetensors: .*{message}"):
            Network.from_safetensors(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    make("tanh").to_safetensors(path)
    whole = path.read_bytes()
    for content in [b"", b"{}", TRAP, whole[:100], whole[:-1], whole + b"\0", b"\xff" * 64]:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"net\.safetensors: not a safetensors file"):
            Network.from_safetensors(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        Network.from_safetensors(tmp_path / "absent")
    with pytest.raises(OSError, match="directory"):
        Network.from_safetensors(tmp_path)


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_nothing_written(tmp_path, "net.safetensors", Network.to_safetensors)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in make("tanh").to_safetensors, Network.from_safetensors:
        with pytest.raises(MissingExtraError, match=r"fastbp\[exchange\]"):
            call(tmp_path / "net.safetensors")
