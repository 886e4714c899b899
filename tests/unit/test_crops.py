"""Face crops: in memory and streamed they are the same clips in the same order."""

import dataclasses

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from fer_jax import crops, data, extract, programs

FRAMES = 5


@pytest.fixture(scope="module")
def in_memory(prepared_crops):
    return data.load_clips(prepared_crops, FRAMES, "middles", "synthetic", crop_bytes=2**30)


@pytest.fixture(scope="module")
def recorded(prepared_crops):
    return data.load_clips(prepared_crops, FRAMES, "middles", "synthetic", crop_bytes=0)


def test_crops_fill_the_memory_they_may_take_and_no_more(prepared_crops, in_memory, recorded):
    assert isinstance(in_memory.frames, np.ndarray)
    assert isinstance(recorded.frames, crops.Recorded)
    assert in_memory.frames.shape == recorded.frames.shape == (21, FRAMES, 32, 32, 3)
    assert in_memory.clip_bytes == recorded.clip_bytes == FRAMES * 32 * 32 * 3
    whole = 21 * in_memory.clip_bytes
    for room, kind in ((whole, np.ndarray), (whole - 1, crops.Recorded)):
        loaded = data.load_clips(prepared_crops, FRAMES, "middles", "synthetic", crop_bytes=room)
        assert isinstance(loaded.frames, kind)


def test_crops_are_those_of_the_record(prepared_crops, in_memory):
    """The chosen frames of a clip, decoded here without the loader."""
    source = tfds.builder_from_directory(str(prepared_crops)).as_data_source("test")
    record = source[3]
    number = in_memory.clip_ids.index(record["clip_id"].decode())
    chosen = data.select_frames(record["detected"], FRAMES, "middles")
    for place, frame in enumerate(chosen):
        start, end = record["crop_offsets"][frame : frame + 2]
        image = cv2.imdecode(record["crops"][start:end], cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(in_memory.frames[number, place], image)
    np.testing.assert_array_equal(
        in_memory.crop_landmarks[number], record["crop_landmarks"][chosen]
    )


@pytest.mark.parametrize("hop", [1, 2, 3, 6])
def test_streaming_gives_the_batches_of_the_memory(in_memory, recorded, hop):
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 21, (2, 6, 4))
    weight = rng.integers(0, 2, (2, 6, 4)).astype(np.float32)
    both = zip(
        data.batches(in_memory, numbers, weight, hop),
        data.batches(recorded, numbers, weight, hop),
        strict=True,
    )
    count = 0
    for number, (kept, streamed) in enumerate(both):
        part = slice(number * hop, (number + 1) * hop)
        assert kept.keys() == streamed.keys() == {"label", "weight", "frames", "crop_landmarks"}
        for name in kept:
            np.testing.assert_array_equal(kept[name], streamed[name], err_msg=name)
        np.testing.assert_array_equal(kept["label"], in_memory.labels[numbers[:, part]])
        np.testing.assert_array_equal(kept["frames"], in_memory.frames[numbers[:, part]])
        count += 1
    assert count == 6 // hop


def test_take_reads_recorded_clips_of_any_shape(in_memory, recorded):
    numbers = np.array([[20, 3], [7, 7]])
    for name, value in data.take(in_memory, numbers).items():
        np.testing.assert_array_equal(data.take(recorded, numbers)[name], value)


def test_a_set_without_crops_says_how_to_get_them(prepared):
    with pytest.raises(data.NotPreparedError, match="prepared without face crops.*--crops 256"):
        data.load_clips(prepared, FRAMES, "middles", "synthetic", crop_bytes=2**30)


def test_landmark_models_do_not_read_the_crops(prepared_crops):
    clips = data.load_clips(prepared_crops, FRAMES, "middles", "synthetic")
    assert clips.frames is None and "landmarks" in data.take(clips, np.arange(2))


def test_frame_inputs_take_the_middle_and_scale_it(in_memory):
    frames = in_memory.frames[:2]
    inputs = extract.frame_inputs(frames, 28, "imagenet")
    assert inputs.shape == (2, FRAMES, 28, 28, 3) and inputs.dtype == np.float32
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (frames[:, :, 2:30, 2:30] / 255.0 - mean) / deviation
    np.testing.assert_allclose(inputs, expected, atol=1e-5)
    signed = extract.frame_inputs(frames, 0, "signed")
    assert signed.shape[-2] == 32
    np.testing.assert_allclose(signed, frames / 127.5 - 1, atol=1e-6)


def test_calls_hold_a_bounded_number_of_clips(in_memory):
    """However long an epoch is, the clips of one compiled call stay under the limit."""
    program = programs.Program(
        *[None] * 5, batch_size=8, steps=1000, scored_size=8, clip_bytes=in_memory.clip_bytes
    )
    hop = program.steps_a_call(1, 1000, 8)
    assert 1000 % hop == 0
    assert hop * 8 * in_memory.clip_bytes <= programs.CALL_BYTES
    large = dataclasses.replace(program, clip_bytes=programs.CALL_BYTES)
    assert large.steps_a_call(1, 1000, 8) == 1
