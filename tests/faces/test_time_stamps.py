"""Time stamps of frames: from containers with constant, variable, doubtful and no rates."""

import fractions
import re

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax.faces.media.clock import make_clock, unwrapped
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import VideoPart, open_frames
from tests.faces.written import brightness, picture, write, write_sound

FAST, SLOW = np.arange(30) / 30, 1 + np.arange(20) / 10
VARIABLE = [*FAST, *SLOW]  # 3 seconds


def spans(frames):
    return np.array([frames.span(index) for index, _ in frames]).reshape(-1, 2)


def shown(images) -> list[int]:
    """Positions of frames by their brightness."""
    values = np.array([brightness(index) for index in range(60)])
    return [int(np.abs(values - image[30, 40].mean()).argmin()) for image in images]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm", "clip.ts"])
def test_variable_rate_has_the_times_of_its_container(tmp_path, name):
    frames = open_frames(write(tmp_path / name, VARIABLE))
    seen = spans(frames)
    np.testing.assert_allclose(seen[:, 0], VARIABLE, atol=0.0011)
    np.testing.assert_allclose(seen[:, 1], [*VARIABLE[1:], 3.0], atol=0.0011)
    assert not frames.steady and frames.fps == pytest.approx(50 / 3, abs=0.01)
    assert (frames.announced, frames.read, frames.notes()) == (50, 50, "")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm", "clip.ts", "clip.avi"])
@pytest.mark.parametrize("start", [0.0, 1.4])
def test_constant_rate_is_exact_whatever_the_container_rounds(tmp_path, name, start):
    if name == "clip.avi":
        start, ticks = 0.0, 30  # AVI has no stamps but counts frames
    else:
        ticks = 90000
    frames = open_frames(write(tmp_path / name, start + np.arange(40) / 30, ticks=ticks))
    seen = spans(frames)
    assert frames.steady and frames.fps == pytest.approx(30, abs=0.01)
    np.testing.assert_allclose(seen[:, 0], np.arange(40) / frames.fps)
    assert frames.notes() == ""


def test_recording_of_a_browser_has_no_rate_and_no_length(tmp_path):
    steps = np.random.default_rng(0).choice([0.033, 0.067, 0.1], 40)
    times = np.concatenate([[0], np.cumsum(steps)])
    path = write(tmp_path / "clip.webm", times, ticks=1000, live=1)
    frames = open_frames(path)
    seen = spans(frames)
    np.testing.assert_allclose(seen[:, 0], times, atol=1e-6)
    assert seen[-1, 1] == pytest.approx(times[-1] + steps[-1])
    assert not frames.steady and frames.notes() == ""


def test_frames_before_an_edit_list_are_left_out(tmp_path):
    path = write(tmp_path / "clip.mp4", np.arange(-5, 20) / 25, b_frames=0)
    frames = open_frames(path)
    read = list(frames)
    assert shown(image for _, image in read) == list(range(25 - len(read), 25))
    assert [index for index, _ in read] == list(range(len(read)))
    assert frames.span(0)[0] == 0 and frames.notes() == ""


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm", "clip.avi", "clip.ts"])
def test_part_of_a_video_is_found_by_its_time_stamps(tmp_path, name):
    times = np.arange(50) / 25 if name == "clip.avi" else VARIABLE
    ticks = 25 if name == "clip.avi" else 16000
    path = write(tmp_path / name, times, ticks=ticks, options={"g": "12"})
    whole = dict(open_frames(path))
    for first, count in ((0, 3), (1, 1), (29, 4), (47, 3)):
        frames = open_frames(VideoPart(path, first, count))
        part = dict(frames)
        assert list(part) == list(range(first, first + count)) and frames.notes() == ""
        assert shown(part.values()) == shown(whole[index] for index in part)
        assert frames.span(first)[0] == pytest.approx(times[first], abs=0.0011)


def test_sampled_frames_are_those_of_their_positions(tmp_path):
    path = write(tmp_path / "clip.mp4", VARIABLE, options={"g": "12"})
    frames = open_frames(path)
    assert shown(frames.sample([0, 1, 13, 30, 31, 49])) == [0, 1, 13, 30, 31, 49]
    assert shown(open_frames(VideoPart(path, 10, 30)).sample([0, 5, 29])) == [10, 15, 39]


def test_clock_that_starts_again_goes_on(tmp_path):
    one = write(tmp_path / "one.ts", 5 + np.arange(25) / 25).read_bytes()
    two = write(tmp_path / "two.ts", np.arange(25) / 25).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + two)
    frames = open_frames(tmp_path / "both.ts")
    seen = spans(frames)
    assert frames.read == 50 and (np.diff(seen[:, 0]) > 0).all()
    assert seen[-1, 1] == pytest.approx(2, abs=0.1)
    assert "time stamps jump back" in frames.notes() and "cut off" not in frames.notes()


@pytest.mark.parametrize("name", ["clip.mkv", "clip.webm", "clip.mp4", "clip.ts"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("seconds", [10 + np.arange(6) / 25, 10 + np.arange(30) / 25])
def test_recording_that_begins_late_is_not_cut_off(tmp_path, name, b_frames, seconds):
    frames = open_frames(write(tmp_path / name, seconds, ticks=1000, b_frames=b_frames))
    assert len(spans(frames)) == len(seconds) and frames.notes() == ""


def test_short_recordings_one_after_the_other_are_not_mixed(tmp_path):
    one = write(tmp_path / "one.ts", np.arange(20) / 25).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + one)
    frames = open_frames(tmp_path / "both.ts")
    assert spans(frames)[-1, 1] == pytest.approx(1.6, abs=0.05)
    assert "time stamps jump back 1 times" in frames.notes()


SCREEN = np.cumsum([0, 0.1, 0.1, 20, 0.1, 0.1, 300, 0.1, 0.1, 5, 0.1, 0.1])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize(
    ("times", "note"),
    [(2.0 * np.arange(10), ""), ([*np.arange(20) / 20, 30.0], "a gap of 29.05 seconds after"),
     (SCREEN, "a gap of 20 seconds after frame 3, and 2 more")],
)  # fmt: skip
def test_reordered_frames_far_apart_are_no_jump(tmp_path, name, times, note):
    frames = open_frames(write(tmp_path / name, times, ticks=1000))
    np.testing.assert_allclose(spans(frames)[:, 0], times, atol=0.0011)
    assert frames.notes().startswith(note) and bool(frames.notes()) == bool(note)


@pytest.mark.parametrize(("aspect", "size"), [("64/45", (91, 48)), ("3/4", (64, 64))])
def test_pixels_become_square(tmp_path, aspect, size):
    path = write(tmp_path / "clip.mkv", np.arange(3) / 25, aspect=fractions.Fraction(aspect))
    frames = open_frames(path)
    assert frames.size == size and next(iter(frames))[1].shape == (*size[::-1], 3)


def test_second_stream_of_pictures_is_noted(tmp_path):
    with av.open(str(tmp_path / "two.mkv"), "w") as file:
        streams = [file.add_stream("ffv1", rate=25, width=64, height=48) for _ in range(2)]
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(picture(5), format="rgb24").reformat(
                format="yuv420p"
            )
            file.mux([*stream.encode(frame), *stream.encode()])
    assert open_frames(tmp_path / "two.mkv").notes().startswith("2 streams of pictures in it")


def test_stream_without_container_has_no_rate(tmp_path):
    path = write(tmp_path / "clip.h264", np.arange(20) / 50, codec="libx264", format="h264")
    frames = open_frames(path)
    assert np.isnan(spans(frames)).all()
    assert (frames.fps, frames.steady, frames.read) == (0, False, 20)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm"])
@pytest.mark.parametrize("share", [0.6, 0.85])
def test_truncated_video_is_read_up_to_its_break(tmp_path, name, share):
    options = {"movflags": "faststart"} if name == "clip.mp4" else {}
    path = write(tmp_path / name, np.arange(100) / 25, **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    frames = open_frames(path)
    read = len(list(frames))
    assert 3 < read < 95
    assert f"cut off after frame {read}" in frames.notes()


def test_frames_lost_in_the_middle_are_no_cut(tmp_path):
    path = write(tmp_path / "clip.mkv", VARIABLE, codec="mjpeg", pixels="yuvj420p")
    content = bytearray(path.read_bytes())
    starts = [m.start() for m in re.finditer(b"\xff\xd8\xff", content)]
    for start in starts[20:30]:
        content[start + 4 : start + 150] = bytes(146)
    path.write_bytes(content)
    frames = open_frames(path)
    read = dict(frames)
    assert list(read) == [*range(20), *range(30, 50)]
    assert frames.span(30)[0] == pytest.approx(VARIABLE[30], abs=0.001)
    assert frames.notes() == "10 of 50 frames cannot be decoded"


@pytest.mark.parametrize(
    ("pixels", "codec"),
    [("yuv420p10le", "libx264"), ("yuv444p", "libx264"), ("gray", "ffv1"), ("yuva420p", "ffv1"),
     ("bgra", "ffv1"), ("rgb48le", "ffv1"), ("gray16le", "ffv1"), ("yuvj420p", "mjpeg")],
)  # fmt: skip
def test_frames_of_any_pixel_format_are_rgb(tmp_path, pixels, codec):
    path = write(tmp_path / "clip.mkv", np.arange(8) / 25, codec=codec, pixels=pixels)
    read = [image for _, image in open_frames(path)]
    assert np.abs(np.subtract(shown(read), range(8))).max() <= 1  # of conversion
    assert len(read) == 8 and read[0].shape == (48, 64, 3)
    assert read[0].dtype == np.uint8 and read[0][2, 2].min() > 200


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_display_matrix_turns_frames(tmp_path, degrees):
    frames = open_frames(write(tmp_path / "clip.mp4", np.arange(4) / 25, turned=degrees))
    image = next(iter(frames))[1]
    corner = {90: (0, -1), 180: (-1, -1), 270: (-1, 0)}[degrees]  # clockwise, of the first
    assert image.shape[:2] == frames.size[::-1] and image[corner].min() > 200


def test_sound_and_empty_videos_are_named(tmp_path):
    with pytest.raises(ClipError, match="sound.m4a holds sound, no pictures"):
        open_frames(write_sound(tmp_path / "sound.m4a"))
    with pytest.raises(ClipError, match="none.mkv .*no frame can be decoded"):
        open_frames(write(tmp_path / "none.mkv", []))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm", "clip.ts", "clip.avi"])
@pytest.mark.parametrize("reach", [600, 10**9])  # bytes from the start: headers, everything
def test_damaged_videos_are_read_or_refused(tmp_path, name, reach):
    path = write(tmp_path / name, np.arange(30) / 25, ticks=25, movflags="faststart")
    content, rng = path.read_bytes(), np.random.default_rng(reach)
    for _ in range(15):
        damaged = bytearray(content)
        for place in rng.integers(0, min(reach, len(content)), 15):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            frames = open_frames(path)
        except ClipError as error:
            assert str(path) in error.detail
            continue
        seen = spans(frames)
        assert np.isnan(seen).all() or (np.diff(seen[:, 0]) > 0).all()


@given(
    st.lists(st.sampled_from([0, 1, 33, 40, 5000]), min_size=1, max_size=50),
    st.integers(-(10**6), 10**6),
)
def test_clock_ascends_and_ends_behind_its_last_frame(steps, start):
    stamps = (start + np.cumsum([0, *steps])) / 1000
    if stamps[-1] == stamps[0]:
        return
    clock = make_clock(stamps, [25.0, 1000.0])
    assert clock.times[0] == 0 and (np.diff(clock.times) > 0).all()
    assert clock.end > clock.times[-1] and clock.fps > 0
    edges = [clock.span(position) for position in range(len(stamps) + 3)]
    assert all(a[1] == pytest.approx(b[0]) for a, b in zip(edges, edges[1:], strict=False))
    assert ("share a time stamp" in clock.note) == (0 in steps)


def test_clock_jumps_are_told_from_reordered_frames():
    reordered = np.array([0, 4, 2, 1, 3, 8, 6, 5, 7])
    assert unwrapped(reordered, 0.04)[1] == 0
    again = np.concatenate([1000 + reordered, reordered])
    ordered, jumps = unwrapped(again, 0.04)
    assert jumps == 1
    assert np.diff(np.sort(ordered)).tolist() == [1] * (len(again) - 1)


@pytest.mark.parametrize(
    ("name", "count", "end"),
    [("vfr.mp4", 120, 8.0), ("vfr.mkv", 120, 8.0), ("vfr.webm", 120, 8.0), ("dump_epoch", 60, 2.0),
     ("recorder.webm", 90, 5.01), ("late_side.mp4", 182, 6.067)],
)  # fmt: skip
def test_recordings_of_users_end_when_they_end(real_data, name, count, end):
    frames = open_frames(real_data / "field" / name)
    seen = spans(frames)
    assert len(seen) == count and (np.diff(seen[:, 0]) > 0).all()
    assert seen[-1, 1] == pytest.approx(end, abs=0.005) and "cut off" not in frames.notes()
    if name.startswith("vfr"):
        assert seen[60, 0] == pytest.approx(2, abs=0.001)
