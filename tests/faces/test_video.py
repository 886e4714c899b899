"""Frames from videos, folders and stills, whole and damaged."""

import struct

import av
import cv2
import numpy as np
import pytest

from fer_jax.faces.media.numbering import frame_number
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import VideoPart, open_frames

SIZE = (64, 48)  # width, height


def images(count: int) -> list[np.ndarray]:
    """Frames whose brightness depends on their position, with a white top left corner."""
    frames = [np.full((SIZE[1], SIZE[0], 3), 10 + 5 * index, np.uint8) for index in range(count)]
    for frame in frames:
        frame[:12, :12] = 255
    return frames


def write_video(path, count=20, codec="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, SIZE)
    for frame in images(count):
        writer.write(frame)
    writer.release()
    return path


def write_folder(folder, names):
    folder.mkdir()
    for name, frame in zip(names, images(len(names)), strict=True):
        cv2.imwrite(str(folder / name), frame)
    return folder


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "MJPG"), ("čłøveк 1.mp4", "mp4v")])
def test_video_gives_every_frame_in_order(tmp_path, name, codec):
    frames = open_frames(write_video(tmp_path / name, codec=codec))
    assert (frames.fps, frames.size, frames.announced) == (25, SIZE, 20)
    read = list(frames)
    assert [index for index, _ in read] == list(range(20))
    assert all(image.shape == (48, 64, 3) and image.dtype == np.uint8 for _, image in read)
    brightness = [image[30, 40].mean() for _, image in read]
    assert np.allclose(brightness, [10 + 5 * n for n in range(20)], atol=4)
    assert frames.shortfall() == ""


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "XVID"), ("clip.mp4", "mp4v")])
def test_video_part_yields_its_frames(tmp_path, name, codec):
    path = write_video(tmp_path / name, count=40, codec=codec)
    whole = dict(open_frames(path))
    for first, count in ((0, 5), (1, 1), (13, 20), (38, 2)):
        frames = open_frames(VideoPart(path, first, count))
        assert (frames.fps, frames.size, frames.announced) == (25, SIZE, count)
        read = dict(frames)
        assert list(read) == list(range(first, first + count)) and frames.shortfall() == ""
        assert all(np.array_equal(image, whole[index]) for index, image in read.items())


@pytest.mark.parametrize("size", [(128, 96), (32, 24), (96, 48)])
def test_video_that_changes_its_size_is_scaled_to_its_first(tmp_path, size):
    file, number = tmp_path / "a.ts", 6
    parts = []
    for each in (SIZE, size):
        with av.open(str(file), "w") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = *each, "yuv420p"
            image = np.full((each[1], each[0], 3), 200, np.uint8)
            for _ in range(number):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        parts.append(file.read_bytes())
    file.write_bytes(b"".join(parts))
    frames = open_frames(file)
    pictures = [image for _, image in frames]
    assert {image.shape for image in pictures} == {(48, 64, 3)} and frames.size == SIZE
    assert "pictures change their size at frame " in frames.notes()
    band = 8 if size == (96, 48) else 0  # of another shape, with black above and below
    assert abs(int(pictures[-1][24, 32, 0]) - 200) < 5
    assert (pictures[-1][: band and band - 1] == 0).all()
    assert (pictures[-1][band + 1 :, :, 0] > 100).sum() >= 64 * (48 - 2 * band - 2)
    (sampled,) = frames.sample([len(pictures) - 1])
    np.testing.assert_array_equal(sampled, pictures[-1])


def test_video_part_behind_the_end_is_refused(tmp_path):
    path = write_video(tmp_path / "clip.avi", count=20)
    with pytest.raises(ClipError, match="no frame can be decoded from frame 30 on"):
        open_frames(VideoPart(path, 30, 5))
    frames = open_frames(VideoPart(path, 15, 10))
    assert [index for index, _ in frames] == [15, 16, 17, 18, 19]
    assert frames.shortfall() == "cut off after frame 5 of 10"
    with pytest.raises(ClipError, match="gone.avi does not exist"):
        open_frames(VideoPart(tmp_path / "gone.avi", 0, 5))


def test_frames_are_rgb(tmp_path):
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "red.png"), red)
    ((_, image),) = open_frames(tmp_path / "red.png")
    assert image[5, 5].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))]
)
def test_rotation_is_clockwise(tmp_path, rotation, corner):
    frames = open_frames(write_video(tmp_path / "clip.avi", 2), rotation)
    assert frames.size == (SIZE if rotation in (0, 180) else SIZE[::-1])
    image = next(iter(frames))[1]
    assert image.shape[:2] == frames.size[::-1]
    assert image[corner].min() > 200


def test_rotation_in_the_container_is_applied(tmp_path):
    path = write_video(tmp_path / "phone.mp4", 3, "mp4v")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO 14496-12: the display matrix of the track header
    quarter_turn = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    content[matrix : matrix + 36] = struct.pack(">9i", *quarter_turn)
    path.write_bytes(content)
    frames = open_frames(path)
    image = next(iter(frames))[1]
    assert frames.size == SIZE[::-1]
    assert image.shape[:2] == SIZE
    assert image[2, -3].min() > 200  # the corner went from left to right


def test_folder_is_sorted_by_number_and_may_have_gaps(tmp_path):
    folder = write_folder(tmp_path / "S005_001", ["f_2.png", "f_10.png", "f_9.png", "f_30.png"])
    (folder / "notes.txt").write_text("not a frame")
    frames = open_frames(folder)
    assert [index for index, _ in frames] == [2, 9, 10, 30]
    assert frames.fps == 0


def test_folder_without_usable_numbers_counts_positions(tmp_path):
    folder = write_folder(tmp_path / "odd", ["a1.png", "b1.png", "c.png"])
    assert [index for index, _ in open_frames(folder)] == [0, 1, 2]


def test_unreadable_frame_is_skipped_and_counted(tmp_path):
    folder = write_folder(tmp_path / "clip", ["1.png", "2.png", "3.png"])
    (folder / "2.png").write_bytes(b"no image")
    frames = open_frames(folder)
    assert [index for index, _ in frames] == [1, 3]
    assert frames.shortfall() == "unreadable frames skipped: 1"


def test_truncated_video_is_read_up_to_the_break(tmp_path):
    path = write_video(tmp_path / "clip.avi", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = open_frames(path)
    read = len(list(frames))
    assert 5 < read < 35
    assert frames.shortfall() == f"cut off after frame {read}, at {read / 25:.2f} of 1.60 s"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.mp4", None, "missing file"),
        ("empty.mp4", "", "unreadable"),
        ("text.mp4", "this is a line of text\n" * 500, "unreadable"),
        ("notes.txt", "this is a line of text\n" * 500, "unreadable"),
        ("broken.jpg", "this is a line of text\n" * 500, "unreadable"),
        ("folder", "folder", "no frames"),
        (f"{'long' * 100}.mp4", None, "unreadable"),
    ],
)
def test_unreadable_source_is_named_with_its_reason(tmp_path, capfd, name, content, reason):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    with pytest.raises(ClipError) as caught:
        open_frames(path)
    assert caught.value.reason == reason
    assert str(path) in caught.value.detail
    assert capfd.readouterr().err == "", "decoders print into the progress bar"


@pytest.mark.parametrize(
    ("name", "number"),
    [("S005_001_00000011.png", 11), ("007.jpg", 7), ("x.png", -1), ("3a.png", 3)],
)
def test_frame_number(tmp_path, name, number):
    assert frame_number(tmp_path / name, -1) == number
