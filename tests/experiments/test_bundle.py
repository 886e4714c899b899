"""Damaged and hostile bundles: each is refused in one line that names what is wrong."""

import json
import os
import shutil
import typing

import numpy as np
import pytest
from flax import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

import fer_jax
from fer_jax.experiments import schema
from fer_jax.experiments.schema import BundleFields
from fer_jax.predict.load import load_model
from fer_jax.tasks import TASKS
from tests.bundles import CROPS, LANDMARKS, write_bundle

CLASSES = ("joy", "anger", "calm")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    return write_bundle(path, LANDMARKS, CLASSES, 0.5, rule="ends", seconds=0.8)


@pytest.fixture
def bundle(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def change(bundle, fields, model=None):
    """Changes fields of model.json, which then has no checksums; `...` removes one."""
    file = bundle / "model.json"
    info = json.loads(file.read_text()) | {"sha256": ...} | fields
    info["model"] |= model or {}
    info = {name: value for name, value in info.items() if value is not ...}
    file.write_text(json.dumps(info))


def refusal(bundle, say=print) -> str:
    with pytest.raises(ValueError) as caught:
        load_model(bundle, say)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 1000 and str(bundle) in text
    return text


def edges(*first):
    return {"mode": "clean", "edges": [list(first), [0, 16]], "reference_shape": [[0.0, 0.0]] * 51}


HOSTILE = {
    "edge below 0": ({"graph": edges(-1, 3)}, "graph.edges.0.0"),
    "edge beyond the face": ({"graph": edges(3, 51)}, "graph.edges.0.1"),
    "edge with a fraction": ({"graph": edges(3, 1.5)}, "graph.edges.0.1"),
    "edge of three nodes": ({"graph": edges(3, 1, 2)}, "graph.edges.0"),
    "edge to itself": ({"graph": edges(3, 3)}, "ends where it begins"),
    "no edges": ({"graph": edges() | {"edges": []}}, "graph.edges"),
    "shape of few points": ({"graph": edges(1, 2) | {"reference_shape": [[0, 0]]}}, "shape"),
    "shape without numbers": (
        {"graph": edges(1, 2) | {"reference_shape": [[0, float("nan")]] * 51}}, "reference_shape.0",
    ),
    "graph of another mode": ({"graph": edges(1, 2) | {"mode": "full"}}, "graph.mode"),
    "no window": ({"window_seconds": 0}, "window_seconds"),
    "endless window": ({"window_seconds": float("inf")}, "window_seconds"),
    "window of nothing": ({"window_seconds": 5e-324}, "window_seconds"),
    "window in words": ({"window_seconds": "1.0"}, "window_seconds"),
    "no frames": ({"frames": 0}, "frames"),
    "half a frame": ({"frames": 2.5}, "frames"),
    "true frames": ({"frames": True}, "frames"),
    "endless frames": ({"frames": 10**12}, "frames"),
    "rate below 0": ({"frames_per_second": -1}, "frames_per_second"),
    "unknown rule": ({"frame_rule": "first"}, "frame_rule"),
    "unknown features": ({"features": "speed"}, "features"),
    "classes as text": ({"classes": "abc"}, "classes"),
    "classes twice": ({"classes": ["a", "b", "a"]}, "the same name"),
    "classes that look alike": ({"classes": ["\u00e9", "e\u0301", "a"]}, "the same name"),
    "class of blanks": ({"classes": ["a", "b", "  "]}, "classes.2"),
    "class from right to left": ({"classes": ["a", "b", "\u202egnp"]}, "classes.2"),
    "no classes": ({"classes": []}, "classes"),
    "nameless class": ({"classes": ["a", "b", ""]}, "classes.2"),
    "class that clears the screen": ({"classes": ["a", "b", "\x1b[2J"]}, "control characters"),
    "name of two lines": ({"name": "a\nerror: b"}, "control characters"),
    "NaN as threshold": ({"threshold": float("nan")}, "threshold"),
    "endless threshold": ({"threshold": float("inf")}, "threshold"),
    "threshold below 0": ({"threshold": -1}, "threshold"),
    "threshold in words": ({"threshold": "high"}, "threshold"),
    "threshold of each class": ({"threshold": [0.1, 0.2, 0.3]}, "threshold is a list"),
    "threshold of all units": ({"task": "action_units"}, "threshold is one number"),
    "unknown task": ({"task": "\x1b[31mregression"}, "task"),
    "task of another training": ({"config": {"task": "dimensional"}}, "trained for another"),
    "task as a list": ({"task": ["classification"]}, "task"),
    "large crops": ({"crop_size": 10**6, "prepared_size": 10**6}, "crop_size"),
    "crops beyond the prepared": ({"crop_size": 64, "prepared_size": 32}, "prepared_size"),
    "framing of nothing": ({"framing": {"eye_distances": 0.0}}, "framing.eye_distances"),
    "unknown field": ({"treshold": 0.3}, "treshold"),
    "unknown \x1b field": ({"\x1b]0;x\x07": 1}, "Extra inputs"),
    "no model": ({"model": {}}, "model has no name"),
    "version in words": ({"bundle_version": "1"}, "bundle_version"),
    "version 0": ({"bundle_version": 0}, "bundle_version"),
    "intervals below 0": (
        {"task": "dimensional", "metrics": {"intervals": {"residual_variance": [-1, 0, 0]}}},
        "residual_variance",
    ),
    "class like a column": ({"classes": ["start", *CLASSES[1:]]}, "start"),
    "class like another's spread": ({"classes": ["std_anger", *CLASSES[1:]]}, "std_anger"),
    "class like another's set": ({"classes": ["set_calm", *CLASSES[1:]]}, "set_calm"),
    "class like nobody": ({"classes": ["No Face", *CLASSES[1:]]}, "No Face"),
    "scale in words": ({"dataset": {"scaled": "no"}}, "dataset.scaled"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_fields_that_make_no_sense_are_named(bundle, name):
    fields, message = HOSTILE[name]
    change(bundle, fields)
    assert message in refusal(bundle)


@pytest.mark.parametrize(
    "model",
    [{"widths": [10**9, 10**9]}, {"widths": [60_000, 60_000]}, {"widths": [4, 4] * 400},
     {"widths": [4] * 10**5}, {"widths": [-4, 4]}, {"widths": "44"}, {"kernel_size": 10**6},
     {"dropout": float("nan")}, {"dropout": 2.0}, {"depth": 3}, {"name": "\x1b[2J"},
     {"name": ["st_bln"]}, {"subsets": 10**5}, {"subsets": 60_000}, {"dtype": "int8"}],
)  # fmt: skip
def test_hostile_networks_are_refused_before_memory_is_taken(bundle, model):
    change(bundle, {}, model)
    refusal(bundle)


def test_network_of_endless_layers_is_refused(tmp_path):
    bundle = write_bundle(tmp_path / "model", CROPS, CLASSES, 0.5, rule="middles", seconds=0.8)
    change(bundle, {}, {"stages": [[4, 60_000], [8, 1]]})
    assert "more layers than weights" in refusal(bundle)


def test_bundle_without_checksums_loads_with_a_note(bundle):
    said = []
    load_model(bundle, said.append)
    assert not said
    change(bundle, {})
    load_model(bundle, said.append)
    (note,) = said
    assert note.startswith(f"note: the bundle {bundle} has no checksums")


@pytest.mark.parametrize("file", ["model.json", "weights.msgpack"])
def test_flipped_bits_are_refused(bundle, file):
    path, rng = bundle / file, np.random.default_rng(0)
    whole = path.read_bytes()
    for place in rng.integers(0, len(whole), 40):
        data = bytearray(whole)
        data[place] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        try:
            loaded = load_model(bundle, lambda text: pytest.fail(text))
        except (ValueError, FileNotFoundError) as error:
            assert str(error).isprintable()
        else:  # only a space between two fields may change
            assert json.loads(bytes(data)) == json.loads(whole) and loaded.classes == CLASSES


def test_number_changed_by_hand_is_refused_while_checksums_are_there(bundle):
    file = bundle / "model.json"
    file.write_text(file.read_text().replace('"threshold": 0.5', '"threshold": 0.9'))
    assert "model.json is not as it was written; without the field sha256" in refusal(bundle)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"threshold": 0.5}, indent=3))
    assert fer_jax.load_model(bundle).threshold == 0.5  # formatted anew, with the same content


@pytest.mark.parametrize("first", [True, False])
def test_field_that_is_there_twice_is_refused(bundle, first):
    file = bundle / "model.json"
    text, double = file.read_text().strip(), '"threshold": 9.0'
    file.write_text(f"{{{double}, {text[1:]}" if first else f"{text[:-1]}, {double}}}")
    assert "the name 'threshold' is there twice" in refusal(bundle)


def test_weights_of_another_bundle_are_refused(bundle, tmp_path):
    other = write_bundle(tmp_path / "b", LANDMARKS | {"dropout": 0.1}, CLASSES, 0.5, rule="ends",
                         seconds=0.8)  # fmt: skip
    weights = serialization.msgpack_restore((other / "weights.msgpack").read_bytes())
    weights["params"]["head"]["bias"] = weights["params"]["head"]["bias"] + 1
    (bundle / "weights.msgpack").write_bytes(serialization.msgpack_serialize(weights))
    assert "weights.msgpack is not as it was written" in refusal(bundle)
    change(bundle, {})  # no checksum in model.json, but the weights have their own
    assert "its weights are not as they were written" in refusal(bundle)


@pytest.mark.parametrize("file", ["model.json", "weights.msgpack"])
def test_links_out_of_a_bundle_are_refused(bundle, tmp_path, file):
    outside = shutil.move(bundle / file, tmp_path / "outside")
    (bundle / file).symlink_to(outside)
    assert "is a link out of its bundle" in refusal(bundle)
    shutil.move(outside, bundle / "inside")
    (bundle / file).unlink()
    (bundle / file).symlink_to("inside")
    (tmp_path / "link").symlink_to(bundle)
    assert fer_jax.load_model(tmp_path / "link").classes == CLASSES


@pytest.mark.parametrize("file", ["model.json", "weights.msgpack"])
def test_files_that_cannot_be_reached_are_named(bundle, file):
    (bundle / file).unlink()
    (bundle / file).symlink_to(file)
    assert f"{bundle / file} cannot be read: Too many levels" in refusal(bundle)
    for name in ("no\0bundle", bundle / "no" / "folder", bundle / file):
        with pytest.raises((FileNotFoundError, ValueError), match="not a model bundle|cannot be"):
            load_model(name)


@pytest.mark.parametrize("file", ["model.json", "weights.msgpack"])
def test_pipes_folders_and_huge_files_are_refused(bundle, file):
    (bundle / file).unlink()
    os.mkfifo(bundle / file)
    assert "no regular file" in refusal(bundle)
    (bundle / file).unlink()
    (bundle / file).mkdir()
    assert "no regular file" in refusal(bundle)
    (bundle / file).rmdir()
    with (bundle / file).open("wb") as sparse:
        sparse.truncate(2**33)
    assert "bytes, more than the" in refusal(bundle)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(BundleFields.model_fields)), JSON)
def test_schema_answers_any_value_in_one_line(name, value):
    graph = edges(1, 2)
    good = {
        "bundle_version": 1, "name": "a", "model": {"name": "st_bln"}, "classes": ["a", "b"],
        "frames": 4, "frame_rule": "ends", "features": "motion", "graph": graph,
        "window_seconds": 1, "threshold": None,
    }  # fmt: skip
    schema.check(BundleFields, good)
    try:
        schema.check(BundleFields, good | {name: value})
    except ValueError as error:
        assert str(error).isprintable() and len(str(error)) < 600


def test_schema_knows_every_task():
    assert set(typing.get_args(BundleFields.model_fields["task"].annotation)) == set(TASKS)
