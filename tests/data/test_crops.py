"""Face crops: in memory and streamed they are the same clips in the same order."""

import time

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from fer_jax.data import crops, frame_selection, load
from fer_jax.data.clips import batches, hold_crops, take
from fer_jax.training.program import Program

FRAMES = 5


@pytest.fixture(scope="module")
def in_memory(prepared_crops):
    clips = load.load_clips(prepared_crops, FRAMES, "middles", "synthetic", crop_size=0)
    return hold_crops(clips, 2**30)


@pytest.fixture(scope="module")
def recorded(prepared_crops):
    return load.load_clips(prepared_crops, FRAMES, "middles", "synthetic", crop_size=0)


def test_hold_crops_respects_the_memory_limit(in_memory, recorded):
    assert isinstance(in_memory.crops.frames, crops.Shared)
    assert isinstance(recorded.crops.frames, crops.Recorded)
    for clips in (in_memory, recorded):
        assert clips.crops.frames.shape == (21, FRAMES, 32, 32, 3)
    assert in_memory.clip_bytes == recorded.clip_bytes == FRAMES * 32 * 32 * 3
    held = recorded.crops.frames.held_bytes
    assert held == in_memory.crops.frames.values.nbytes <= 21 * in_memory.clip_bytes
    for room, kind in ((held, crops.Shared), (held - 1, crops.Recorded)):
        assert isinstance(hold_crops(recorded, room).crops.frames, kind)


def test_crops_are_those_of_the_record(prepared_crops, in_memory):
    """The chosen frames of a clip, decoded here without the loader."""
    source = tfds.builder_from_directory(str(prepared_crops)).as_data_source("test")
    record = source[3]
    index = in_memory.clip_ids.index(record["clip_id"].decode())
    chosen = frame_selection.select_frames(record["detected"], FRAMES, "middles")
    for position, frame in enumerate(chosen):
        start, end = record["crop_offsets"][frame : frame + 2]
        image = cv2.imdecode(record["crops"][start:end], cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(in_memory.crops.frames[index, position], image)
    np.testing.assert_array_equal(
        in_memory.crops.landmarks[index], record["crop_landmarks"][chosen]
    )


@pytest.mark.parametrize("hop", [1, 2, 3, 4, 6])
def test_streaming_gives_the_batches_of_the_memory(in_memory, recorded, hop):
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 21, (2, 6, 4))
    weight = rng.integers(0, 2, (2, 6, 4)).astype(np.float32)
    both = zip(
        batches(in_memory, indices, weight, hop),
        batches(recorded, indices, weight, hop),
        strict=True,
    )
    count = 0
    for index, (kept, streamed) in enumerate(both):
        part = slice(index * hop, (index + 1) * hop)
        assert kept.keys() == streamed.keys() == {"label", "weight", "frames", "crop_landmarks"}
        for name in kept:
            np.testing.assert_array_equal(kept[name], streamed[name], err_msg=name)
        np.testing.assert_array_equal(kept["label"], in_memory.labels[indices[:, part]])
        np.testing.assert_array_equal(kept["frames"], in_memory.crops.frames[indices[:, part]])
        count += 1
    assert count == -(-6 // hop)


def test_take_reads_recorded_clips_of_any_shape(in_memory, recorded):
    indices = np.array([[20, 3], [7, 7]])
    for name, value in take(in_memory, indices).items():
        np.testing.assert_array_equal(take(recorded, indices)[name], value)


def test_missing_crops_name_the_command(prepared):
    with pytest.raises(load.NotPreparedError, match="prepared without face crops.*--crops 256"):
        load.load_clips(prepared, FRAMES, "middles", "synthetic", crop_size=224)


def test_landmark_models_do_not_read_the_crops(prepared_crops):
    clips = load.load_clips(prepared_crops, FRAMES, "middles", "synthetic")
    assert clips.crops is None and "landmarks" in take(clips, np.arange(2))


@pytest.mark.parametrize("steps", [1000, 63, 73, 1])
@pytest.mark.parametrize("limit", [1, 10, 30, 10_000])
def test_steps_a_call_respect_the_memory_limit(in_memory, steps, limit):
    """However long an epoch is, the clips of one compiled call stay under the limit."""
    step_bytes = 8 * in_memory.clip_bytes
    program = Program(
        *[None] * 6, batch_size=8, steps=steps, evaluated_size=8, clip_bytes=in_memory.clip_bytes,
        max_call_bytes=limit * step_bytes,
    )  # fmt: skip
    hop = program.steps_a_call(1, steps, 8)
    most = min(limit, steps)
    divisor = max(n for n in range(1, most + 1) if steps % n == 0)
    assert hop == (divisor if most <= 4 * divisor else most)


def test_damaged_crop_names_its_clip(recorded, monkeypatch):
    monkeypatch.setattr(crops, "_decode", lambda content: None)
    with pytest.raises(RuntimeError, match="a crop of .*s000_0000.* is damaged"):
        recorded.crops.frames.clip(0)


def test_interrupt_stops_decoding(recorded, monkeypatch):
    decoded = []

    def decoded_(self, record, frames):
        if record == self.records[0]:
            raise KeyboardInterrupt
        decoded.append(record)
        time.sleep(0.05)
        return np.zeros((len(frames), *self.shape[2:]), np.uint8)

    monkeypatch.setattr(crops.Recorded, "_decoded", decoded_)
    with pytest.raises(KeyboardInterrupt):
        recorded.crops.frames.all()
    assert len(decoded) < 20
