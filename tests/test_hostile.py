"""Files from a stranger run nothing: each attack plants a canary file where its code is run."""

from __future__ import annotations

import copyreg
import io
import json
import os
import pickle
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capframe import Captioner, Registry, run_folder
from capframe.errors import (
    CapframeError,
    FeatureStoreError,
    OptionError,
    RunFolderError,
    UnknownComponentError,
)
from capframe.feature_pickle import read_feature_pickle

ROW = np.ones(3, np.float32)


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def plant(canary: Path) -> str:
    return f"echo > '{canary}'"


def text(value: str) -> bytes:
    """Return the opcode of a string (BINUNICODE)."""
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


def array_with_state(state: bytes) -> bytes:
    """Return a dict of one array whose ``__setstate__`` gets what the opcodes ``state`` push."""
    return b"\x80\x03}" + text("a") + EMPTY_ARRAY + state + b"bs."


DTYPE = (
    b"cnumpy\ndtype\n"
    + text("f4")
    + b"\x89\x88\x87R(K\x03"
    + text("<")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
)

LIVE: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda c: pickle.dumps(Calls(os.system, plant(c))),
    "os.system in protocol 0": lambda c: pickle.dumps(Calls(os.system, plant(c)), 0),
    "os.system in protocol 2": lambda c: pickle.dumps(Calls(os.system, plant(c)), 2),
    "builtins.eval": lambda c: pickle.dumps({"a": Calls(eval, f"open({str(c)!r}, 'w').close()")}),
    "builtins.exec": lambda c: pickle.dumps({"a": Calls(exec, f"open({str(c)!r}, 'w').close()")}),
    "after honest arrays": lambda c: pickle.dumps({"a": ROW, "b": ROW, "c": Calls(os.system, plant(c))}),
    "nested in tuples": lambda c: pickle.dumps({"a": (1, (2, (Calls(os.system, plant(c)),)))}),
    "in a key": lambda c: pickle.dumps({Calls(os.system, plant(c)): ROW}),
    "in an object array": lambda c: pickle.dumps({"a": np.array([Calls(os.system, plant(c))], object)}),
    "called from the memo": lambda c: b"\x80\x02cos\nsystem\nq\x000h\x00" + text(plant(c)) + b"\x85R.",
    "under the number of an honest entry of the memo": lambda c: (
        b"\x80\x02cnumpy\nndarray\nq\x000cos\nsystem\nq\x000h\x00" + text(plant(c)) + b"\x85R."
    ),
    "by attributes of a module of ours": lambda c: (
        b"\x80\x04" + text("capframe.features") + text("os.system") + b"\x93" + text(plant(c)) + b"\x85R."
    ),
    "by the opcode INST": lambda c: b"(" + f"S{plant(c)!r}\n".encode() + b"ios\nsystem\n.",
    "by the opcode OBJ": lambda c: b"(cos\nsystem\n" + text(plant(c)) + b"o.",
    "by the extension registry": lambda c: b"\x80\x02\x82\xf0" + text(plant(c)) + b"\x85R.",
    "in the arguments of dtype": lambda c: (
        b"\x80\x03cnumpy\ndtype\ncos\nsystem\n" + text(plant(c)) + b"\x85R0" + text("f4") + b"\x85R."
    ),
    "in the state of an array": lambda c: array_with_state(
        b"(K\x01K\x03\x85" + DTYPE + b"cos\nsystem\n" + text(plant(c)) + b"\x85R" + b"C\x00t"
    ),
    "after the dict": lambda c: b"\x80\x03}0cos\nsystem\n" + text(plant(c)) + b"\x85R0}.",
}


@pytest.fixture
def extension():
    copyreg.add_extension("os", "system", 240)
    yield
    copyreg.remove_extension("os", "system", 240)


@pytest.mark.parametrize("attack", LIVE)
def test_a_pickle_that_plants_a_canary_with_pickle_is_refused_and_plants_none_here(
    tmp_path, attack, extension
):
    canary, path = tmp_path / "canary", tmp_path / "image_features.pkl"
    path.write_bytes(LIVE[attack](canary))

    with pytest.raises(FeatureStoreError, match=r"image_features\.pkl"):
        read_feature_pickle(path)
    assert not canary.exists()

    try:
        pickle.loads(path.read_bytes())
    except (TypeError, ValueError, AttributeError):
        assert canary.exists()  # its work was done before it failed
    assert canary.exists(), "this is no attack: pickle itself runs nothing"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x80\x03}" + text("a") + b"Pthing\ns.", "opcode PERSID"),
        (b"\x80\x03}" + text("a") + text("thing") + b"Qs.", "opcode BINPERSID"),
        (b"\x80\x03}" + text("a") + b"csubprocess\nPopen\n)\x81s.", "asks for 'subprocess.Popen'"),
        (b"\x80\x05}" + text("a") + b"\x97s.", "opcode NEXT_BUFFER"),
        (b"\x80\x03}" + text("a") + b"cnumpy\nload\n" + text("x") + b"\x85Rs.", "asks for 'numpy.load'"),
        (b"\x80\x03}" + text("a") + b"cnumpy.testing._private.utils\nrunstring\ns.", "runstring"),
        (b"\x80\x03}" + text("a") + b"c_codecs\nencode\n" + text("x") + text("rot13") + b"\x86Rs.", "calls"),
        (b"\x80\x03}" + text("a") + b"cnumpy\nndarray\nK\x03\x85Rs.", "it calls something"),
        (b"\x80\x03}}b.", "sets the state of something that is no array"),
        (b"\x80\x04NN\x93.", "whose name is no string"),
        (array_with_state(b"(K\x01K\x03\x85cnumpy\ndtype\n" + text("O8") + b"\x85R\x89C\x00t"), "'O8'"),
        (array_with_state(b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89C\x00t"), "another shape"),
        (array_with_state(b"N"), "something else than numbers"),
        (b"\x80\x03}" + text("a") + EMPTY_ARRAY + b"s.", "no content"),
    ],
)  # fmt: skip
def test_what_arrays_do_not_need_is_refused_with_the_reason(tmp_path, content, reason):
    (tmp_path / "odd.pkl").write_bytes(content)

    with pytest.raises(FeatureStoreError, match=reason) as error:
        read_feature_pickle(tmp_path / "odd.pkl")

    assert str(tmp_path / "odd.pkl") in str(error.value)


def doubled(times: int) -> bytes:
    """Return a tuple of two tuples of two ...: small in the file, and endless to hash or to print."""
    return b")" + b"".join(b"q\x01h\x01\x86" for _ in range(times))


def same_array(times: int, size: int) -> bytes:
    """Return a dict with the same array under many keys."""
    array = pickle.dumps(np.zeros(size, np.uint8), 3)[2:-1]
    entries = b"".join(text(str(number)) + b"j\x00\xff\x00\x00" for number in range(times))
    return b"\x80\x03" + array + b"r\x00\xff\x00\x00}(" + entries + b"u."


OVERSIZED = {
    "bytes of 10^12": b"\x80\x04}" + text("a") + b"\x8e" + (10**12).to_bytes(8, "little") + b"abcs.",
    "a string of 2^60": b"\x80\x04}\x8d" + (2**60).to_bytes(8, "little") + b"abc" + b"Ns.",
    "bytes of 2^31": b"\x80\x03}" + text("a") + b"B" + (2**31 - 1).to_bytes(4, "little") + b"abcs.",
    "a frame of 10^12": b"\x80\x04\x95" + (10**12).to_bytes(8, "little") + b"}.",
    "a memo of 2^32": b"\x80\x03}r\xff\xff\xff\xff" + text("a") + b"Ns.",
    "a number of 2^31 bytes": b"\x80\x03}" + text("a") + b"\x8b" + b"\xff\xff\xff\x7f" + b"\1s.",
    "10^12 numbers": array_with_state(
        b"(K\x01\x8a\x05" + (10**6).to_bytes(5, "little") + b"\x8a\x05" + (10**6).to_bytes(5, "little")
        + b"\x86" + DTYPE + b"\x89C\x0cabcdefghijklt"
    ),
    "a shape whose product overflows": array_with_state(
        b"(K\x01\x8a\x09" + (2**62).to_bytes(9, "little") + b"K\x04\x86" + DTYPE + b"\x89C\x00t"
    ),
    "10^5 marks": b"\x80\x03" + b"(" * 10**5 + b".",
    "a tuple in 10^5 tuples": b"\x80\x03})" + b"\x85" * 10**5 + b"Ns.",
    "a shape in 10^5 tuples": array_with_state(b"(K\x01)" + b"\x85" * 10**5 + DTYPE + b"\x89C\x00t"),
    "a key of 2^200 tuples": b"\x80\x03}" + doubled(200) + b"Ns.",
    "the same text encoded 10^5 times": (
        b"\x80\x03" + text("x" * 10**5) + b"q\x00c_codecs\nencode\nq\x01" + b"h\x01h\x00" + text("latin1")
        + b"q\x02\x86R" + b"h\x01h\x00h\x02\x86R" * 10**5 + b"."
    ),
    "the same array 10^5 times": same_array(10**5, 10**5),
}  # fmt: skip


@pytest.mark.parametrize("claim", OVERSIZED)
def test_a_small_file_that_claims_to_be_huge_is_refused_in_little_memory(tmp_path, claim):
    path = tmp_path / "huge.pkl"
    path.write_bytes(OVERSIZED[claim])
    tracemalloc.start()
    try:
        with pytest.raises(FeatureStoreError, match=r"huge\.pkl"):
            read_feature_pickle(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2**20 + 100 * path.stat().st_size


@pytest.fixture
def stranger(honest_run, tmp_path) -> Path:
    """Return a copy of an honest run folder, to do evil to."""
    return Path(shutil.copytree(honest_run, tmp_path / "run"))


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def layer(module: str | None, class_name: str, config: Any, registered_name: str | None, call: Any) -> Any:
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered_name,
        "name": "evil",
        "inbound_nodes": [{"args": [call], "kwargs": {}}],
    }


def hostile_layers(canary: Path) -> dict[str, Any]:
    """Return what has run code when Keras loads it: of some of its releases even in safe mode."""
    command = plant(canary)
    return {
        "a function of os": layer("os", "function", "system", "function", command),
        "a class of another module": layer(
            "subprocess", "Popen", {"args": command, "shell": True}, None, command
        ),
        "a registered name": layer(None, "Evil", {"command": command}, "evil>Evil", command),
        "a switch of the safe mode": layer(
            "keras.config", "function", "enable_unsafe_deserialization", "function", None
        ),
        "a download": layer("keras.utils", "function", "get_file", "function", "file:///etc/hostname"),
        "a saved model": layer("keras.layers", "TFSMLayer", {"filepath": str(canary.parent)}, None, command),
    }


def loads_as_if_honest(stranger: Path, honest: Path, registry: Registry) -> None:
    """Assert that loading gives the honest weights: what the attack added was not even read."""
    loaded, kept = (Captioner.load(path, registry=registry).trained.model for path in (stranger, honest))
    for one, other in zip(loaded.get_weights(), kept.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("attack", hostile_layers(Path("canary")))
def test_layers_that_a_model_file_names_are_not_built(stranger, honest_run, registry, attack, tmp_path):
    path = stranger / run_folder.MODEL
    contents = members(path)
    config = json.loads(contents["config.json"])
    config["config"]["layers"].insert(0, hostile_layers(tmp_path / "canary")[attack])
    rewrite(path, {**contents, "config.json": json.dumps(config).encode()})

    loads_as_if_honest(stranger, honest_run, registry)

    assert not (tmp_path / "canary").exists()


def test_the_code_of_a_lambda_layer_is_not_run(stranger, honest_run, registry, tmp_path):
    import keras

    canary = tmp_path / "canary"
    code = eval(f"lambda x: (open({str(canary)!r}, 'w').close(), x)[1]")
    evil = keras.Sequential([keras.Input((12,)), keras.layers.Lambda(code, output_shape=(12,))])
    evil.save(tmp_path / "evil.keras")
    canary.unlink(missing_ok=True)
    contents = members(stranger / run_folder.MODEL)
    rewrite(
        stranger / run_folder.MODEL,
        {**contents, "config.json": members(tmp_path / "evil.keras")["config.json"]},
    )

    loads_as_if_honest(stranger, honest_run, registry)
    assert not canary.exists()

    keras.saving.load_model(tmp_path / "evil.keras", safe_mode=False)(np.ones((1, 12)))
    assert canary.exists(), "this is no attack: Keras itself runs nothing"


def test_a_model_file_is_not_unpacked(stranger, honest_run, registry, tmp_path):
    contents = members(stranger / run_folder.MODEL)
    rewrite(
        stranger / run_folder.MODEL,
        {
            **contents,
            "../canary": b"out",
            "/canary": b"out",
            "assets/../../canary": b"out",
            "x.pkl": b"cos\n",
        },
    )

    loads_as_if_honest(stranger, honest_run, registry)

    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    assert "x.pkl" not in {path.name for path in stranger.iterdir()}


def evil_weights(change: Callable[[Any], object], stranger: Path) -> None:
    import h5py

    path = stranger / run_folder.MODEL
    contents = members(path)
    buffer = io.BytesIO(contents["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    rewrite(path, {**contents, "model.weights.h5": buffer.getvalue()})


def link(file: Any) -> None:
    import h5py

    file["layers/evil"] = h5py.ExternalLink("/etc/hostname", "/")


def soft_link(file: Any) -> None:
    import h5py

    file["layers/evil"] = h5py.SoftLink("/layers")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (link, "its '/layers/evil' is a link to elsewhere"),
        (soft_link, "its '/layers/evil' is a link to elsewhere"),
        (lambda file: file["layers"].__setitem__("ring", file["layers"]), "a ring of them"),
        (lambda file: file.create_dataset("evil", (10,), "u1", external="/etc/hostname"), "file itself"),
        (lambda file: file.create_dataset("evil", (10**6, 10**6), "f4", chunks=(1, 10**6)), "nothing in the"),
        (lambda file: file.create_dataset("evil", data=["os.system"]), "nothing in the model is"),
        (lambda file: file.__delitem__("layers"), "it holds 0 of the"),
    ],
)  # fmt: skip
def test_weights_that_reach_out_or_claim_too_much_are_refused(stranger, registry, change, reason):
    evil_weights(change, stranger)

    with pytest.raises(RunFolderError, match=rf"best_model\.keras cannot be loaded: .*{reason}"):
        Captioner.load(stranger, registry=registry)


def test_weights_that_unpack_to_far_more_than_the_model_are_refused(stranger, registry):
    contents = members(stranger / run_folder.MODEL)
    rewrite(stranger / run_folder.MODEL, {**contents, "model.weights.h5": bytes(2**25)})
    assert (stranger / run_folder.MODEL).stat().st_size < 2**20

    with pytest.raises(RunFolderError, match=r"would unpack to 33554432 bytes"):
        Captioner.load(stranger, registry=registry)


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config.__setitem__(key, value)


def part(name: Any = "add-merge", options: Any = None, package: Any = "capframe") -> dict[str, Any]:
    return {"name": name, "options": options or {}, "package": package, "version": "1.0"}


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (put("decoder", part("os:system")), UnknownComponentError, "'os:system'"),
        (
            put("decoder", part("subprocess.Popen", {"args": "true"})),
            UnknownComponentError,
            "subprocess.Popen",
        ),
        (put("decoder", part("../../evil")), UnknownComponentError, r"\.\./\.\./evil"),
        (put("decoder", {"object": "os:system"}), CapframeError, "ready-made decoder"),
        (put("decoder", part(["add-merge"])), RunFolderError, "config.json is damaged: 'decoder'"),
        (put("decoder", part(package="x; rm -rf ~")), RunFolderError, "'decoder' is of another form"),
        (put("decoder", part(options=["units"])), RunFolderError, "'decoder' is of another form"),
        (put("decoder", part(options={"units": {"__import__": "os"}})), OptionError, "units"),
        (put("decoder", part(options={"__class__": "os"})), OptionError, "no option '__class__'"),
        (put("callbacks", [part("eval")]), UnknownComponentError, "eval"),
        (put("callbacks", part("checkpoint")), RunFolderError, "'callbacks' is of another form"),
        (put("text_cleaners", [part("regex", {"patterns": 5})]), OptionError, "patterns"),
        (put("vocabulary", "/etc/passwd"), RunFolderError, "'vocabulary' is of another form"),
        (put("vocabulary", {"path": "/etc/passwd"}), OptionError, "no option 'path'"),
        (put("training", {"run": "rm"}), OptionError, "no option 'run'"),
        (put("features", {"feature_shape": [10**30]}), RunFolderError, "config.json is damaged"),
        (put("features", {"feature_shape": [-1]}), RunFolderError, "config.json is damaged"),
        (put("features", []), RunFolderError, "'features' is of another form"),
        (put("format", {"a": "b"}), RunFolderError, "has format"),
        (put("format", 99), RunFolderError, "has format 99"),
    ],
)
def test_a_configuration_names_installed_parts_or_nothing(stranger, registry, change, error, reason):
    path = stranger / run_folder.CONFIG
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))

    with pytest.raises(error, match=reason):
        Captioner.load(stranger, registry=registry)


def test_json_that_is_nested_too_deeply_is_damage(stranger, registry):
    (stranger / run_folder.CONFIG).write_text('{"format": ' + "[" * 200_000)

    with pytest.raises(RunFolderError, match=r"config\.json is damaged"):
        Captioner.load(stranger, registry=registry)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.txt", "best_model.keras", "history.csv"])
def test_a_file_that_lies_outside_the_run_folder_is_not_followed(stranger, registry, tmp_path, name):
    outside = tmp_path / "private"
    (stranger / name).rename(outside)
    (stranger / name).symlink_to(outside)

    with pytest.raises(RunFolderError, match=rf"{name} is a link to .*private, outside the run folder"):
        Captioner.load(stranger, registry=registry)


def test_links_inside_the_run_folder_and_to_it_are_followed(stranger, honest_run, registry, tmp_path):
    (stranger / "vocabulary.txt").rename(stranger / "words")
    (stranger / "vocabulary.txt").symlink_to("words")
    (tmp_path / "link").symlink_to(stranger)

    loads_as_if_honest(tmp_path / "link", honest_run, registry)
