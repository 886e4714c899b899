"""Pictures and folders of frames: order, depth of colour, size limits, what is no regular file."""

import os
import pathlib
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fer_jax.faces.media.header import picture_size
from fer_jax.faces.media.numbering import in_order, number_frames
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import open_frames
from tests.faces.written import write


def paths(*names):
    return [pathlib.Path(name) for name in names]


ORDERED = [
    ("a.png", "b.png"),
    ("f2.png", "f9.png", "f10.png"),
    ("frame1_s1.jpg", "frame2_s1.jpg", "frame10_s1.jpg"),
    ("s1_f10.png", "s2_f1.png", "s10_f1.png"),
    ("1622543211.946333.jpg", "1622543212.013000.jpg"),
    ("1622543211.9.jpg", "1622543211.95.jpg", "1622543212.0.jpg"),
    ("1622543212079.png", "1622543212080.png", "1622543213000.png"),
    ("2021-06-01_09-59-59.jpg", "2021-06-01_10-00-00.jpg"),
    ("0.png", "1.5.png", "1.10.png"),
    ("t0.0.png", "t0.033.png", "t0.1.png", "t1.02.png"),
    ("IMG_9.JPG", "img_10.jpg"),
    ("00000099.png", "100.png"),
    ("rec_1622543210_1.png", "rec_1622543210_2.png", "rec_1622543210_10.png"),
    ("cam1_1622543210.7.png", "cam1_1622543210.713.png", "cam1_1622543210.72.png"),
    ("t-10.png", "t-2.png", "t0.png", "t1.png"),
    ("f-1.png", "f-2.png", "f-10.png"),
    ("f99999999999999999998.png", "f99999999999999999999.png"),
]


@pytest.mark.parametrize("names", ORDERED)
def test_names_are_ordered_by_all_their_numbers(names):
    rng = np.random.default_rng(0)
    for _ in range(4):
        assert in_order(paths(*rng.permutation(names))) == paths(*names)


@pytest.mark.parametrize(
    ("names", "indices", "note"),
    [
        (("f7_s1.png", "f8_s1.png", "f10_s1.png"), [7, 8, 10], "gaps (1 missing between 7 and 10)"),
        (("f5.png", "f10.png", "f15.png"), [5, 10, 15], ""),
        (("f1.png", "f01.png", "f2.png"), [0, 1, 2], "1 pictures have the same number"),
        (("a1.png", "a2.png", "b1.png", "b2.png"), [0, 1, 2, 3], "2 kinds: read from a1.png to b2"),
        (("s1_f1.png", "s1_f2.png", "s2_f1.png"), [0, 1, 2], "2 numbers change in the names"),
        (("x.png", "y.png"), [0, 1], "2 kinds"),
        (("-1.png", "0.png"), [0, 1], "after a minus are negative"),
        (("r_1622543210_001.png", "r_1622543210_002.png"), [1, 2], ""),
        (("f9999999999.png", "f10000000000.png"), [0, 1], ""),
    ],
)
def test_numbers_of_frames_and_what_is_noted(names, indices, note):
    numbering = number_frames(paths(*names))
    assert numbering.indices == indices and numbering.clock is None
    assert note in numbering.note and bool(note) == bool(numbering.note)


@pytest.mark.parametrize(
    "names",
    [
        [f"16225432{12 + k // 10}.{k % 10}33.jpg" for k in range(30)],
        [f"frame_{1622543212000 + 100 * k}.png" for k in range(30)],
        [f"cam0_{1622543212000 + 100 * k}.png" for k in range(30)],
        [f"{k}_16225432{12 + k // 10}_{k % 10}00.png" for k in range(30)],
        [f"{1622543212000000000 + 100_000_000 * k}.png" for k in range(30)],
    ],
)
def test_epoch_times_in_names_are_time_stamps(names):
    numbering = number_frames(paths(*names))
    assert numbering.clock.end == pytest.approx(3) and numbering.clock.fps == pytest.approx(10)
    assert numbering.indices == list(range(30)) and "time stamps in the names" in numbering.note


@given(st.lists(st.text("ab01._-", min_size=1, max_size=8), min_size=1, max_size=12, unique=True))
def test_any_names_have_an_order_and_ascending_numbers(names):
    files = in_order([pathlib.Path(f"{name}.png") for name in names])
    numbering = number_frames(files)
    assert len(numbering.indices) == len(files)
    assert numbering.indices == sorted(set(numbering.indices))


def save(path, image):
    assert cv2.imwrite(str(path), image)
    return path


def gray(levels=(0, 64, 128, 255), dtype=np.uint8, scale=1):
    image = np.zeros((20, 40), np.float64)
    for column, level in enumerate(levels):
        image[:, 10 * column : 10 * column + 10] = level
    return (image * scale).astype(dtype)


@pytest.mark.parametrize(
    ("name", "image", "white"),
    [
        ("8.png", gray(), None),
        ("10.png", gray(dtype=np.uint16, scale=4), 1023),
        ("12.png", gray(dtype=np.uint16, scale=16), 4095),
        ("16.png", gray(dtype=np.uint16, scale=256), 65535),
        ("16.tif", gray(dtype=np.uint16, scale=256), 65535),
        ("16.pgm", gray(dtype=np.uint16, scale=16), 4095),
        ("one.tiff", gray(dtype=np.float32, scale=1 / 255), 1),
        ("255.tiff", gray(dtype=np.float32), 255),
        ("colour.png", np.dstack([gray(dtype=np.uint16, scale=16)] * 3), 4095),
        ("alpha.png", np.dstack([gray()] * 4), None),
        ("alpha16.png", np.dstack([gray(dtype=np.uint16, scale=16)] * 4), 4095),
    ],
)
def test_pictures_of_any_depth_are_scaled_by_what_they_hold(tmp_path, name, image, white):
    frames = open_frames(save(tmp_path / name, image))
    ((_, read),) = frames
    assert read.shape == (20, 40, 3) and read.dtype == np.uint8
    assert np.abs(read[5, [5, 15, 25, 35]].astype(int) - [[0], [64], [128], [255]]).max() <= 1
    assert ("taken for white" in frames.note) == bool(white)
    assert white is None or f"bits: {white} is" in frames.note


def test_pictures_of_a_folder_are_scaled_alike(tmp_path):
    for index, brightest in enumerate((100, 1000, 4000)):
        save(tmp_path / f"{index}.png", np.full((20, 20), brightest, np.uint16))
    values = [int(image[0, 0, 0]) for _, image in open_frames(tmp_path)]
    assert values == [100 >> 4, 1000 >> 4, 4000 >> 4]


@pytest.mark.parametrize(
    ("image", "note"),
    [
        (gray(dtype=np.float32) / 127.5 - 1, "-1 is taken for black, 1 for white"),
        (gray(dtype=np.float32) * 257 - 32768, "-32768 is taken for black, 32767 for white"),
        (((gray(dtype=np.float32) * 257) - 32768).astype(np.int16), "-32768 is taken for black"),
        (gray(dtype=np.int16, scale=128.498), "32767 is taken for white"),
        (gray(dtype=np.float32) / 85 - 2, "-2 is taken for black, 1 for white"),
    ],
)
def test_negative_and_signed_values_are_scaled(tmp_path, image, note):
    frames = open_frames(save(tmp_path / "a.tiff", image))
    ((_, read),) = frames
    assert np.abs(read[..., 0].astype(int) - gray()).max() <= 1 and note in frames.notes()


def test_pictures_of_other_kinds_are_named(tmp_path):
    for name in ("a.heic", "b.HEIC", "c.gif", "notes.txt"):
        (tmp_path / name).write_bytes(b"0")
    with pytest.raises(ClipError, match=r"but 3 pictures of other kinds \(.gif, .heic\)"):
        open_frames(tmp_path)
    save(tmp_path / "f1.png", gray())
    assert open_frames(tmp_path).notes().startswith("left out: 3 pictures of other kinds")


def test_first_of_several_pictures_is_noted(tmp_path):
    pictures = [Image.fromarray(np.full((20, 30, 3), 60 * k, np.uint8)) for k in range(4)]
    for name in ("a.png", "a.webp", "a.tif"):
        pictures[1].save(tmp_path / name)
        assert open_frames(tmp_path / name).note == ""
        pictures[1].save(tmp_path / name, save_all=True, append_images=pictures[2:])
        assert open_frames(tmp_path / name).note == (
            f"{name} holds several pictures, of which the first is read"
        )


def test_frames_of_several_sizes_are_noted(tmp_path):
    for index, image in enumerate((gray(), gray(), gray()[:, :30], gray().T)):
        save(tmp_path / f"f{index}.png", image)
    frames = open_frames(tmp_path)
    list(frames)
    assert frames.notes() == "frames of another size than the first: 2"
    turned = open_frames(tmp_path, 90)
    list(turned)
    assert turned.notes() == frames.notes()


def test_files_of_the_system_are_no_frames(tmp_path):
    save(tmp_path / "f1.png", gray())
    for name in ("._f1.png", ".DS_Store", "Thumbs.db", ".hidden.jpg"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    frames = open_frames(tmp_path)
    assert len(list(frames)) == 1 and frames.notes() == ""


def test_values_that_are_no_numbers_are_black(tmp_path):
    image = gray(dtype=np.float32, scale=1 / 255)
    image[:, :10] = np.nan
    image[:, 10:20] = -5
    ((_, read),) = open_frames(save(tmp_path / "a.tiff", image))
    assert read[5, [5, 15, 35], 0].tolist() == [0, 0, 255]


def bomb(path, side=20_000):
    """A PNG of a few kilobytes that says how large it is."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    return path


def test_huge_pictures_are_refused_by_their_header(tmp_path):
    with pytest.raises(ClipError, match="20000 x 20000 pixels, more than 100 million"):
        open_frames(bomb(tmp_path / "a.png"))
    bomb(tmp_path / "b.mp4")
    with pytest.raises(ClipError, match=r"b\.mp4"):
        open_frames(tmp_path / "b.mp4")


def test_huge_video_is_refused(tmp_path):
    from tests.faces import written

    path = write(tmp_path / "a.avi", [0, 1 / 25], codec="rawvideo", ticks=25)
    content = path.read_bytes()
    small = struct.pack("<ii", *written.SIZE)
    assert small in content
    path.write_bytes(content.replace(small, struct.pack("<ii", 20_000, 20_000)))
    with pytest.raises(ClipError, match=r"a\.avi"):
        open_frames(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm", ".pgm"])
@pytest.mark.parametrize("size", [(64, 48), (1, 300), (513, 7)])
def test_size_is_read_from_the_header(tmp_path, suffix, size):
    rng = np.random.default_rng(0)
    shape = (size[1], size[0]) if suffix == ".pgm" else (size[1], size[0], 3)
    path = save(tmp_path / f"a{suffix}", rng.integers(0, 255, shape, dtype=np.uint8))
    with path.open("rb") as file:
        assert picture_size(file) == size


@given(st.binary(max_size=200), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM",
       b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"MM\0*", b"II+\0", b"P6\n", b""]))  # fmt: skip
def test_any_header_has_a_size_or_none(content, magic):
    import io

    size = picture_size(io.BytesIO(magic + content))
    assert size is None or len(size) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a"])
def test_pipes_devices_and_sockets_are_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    (tmp_path / f"zero{name}").symlink_to("/dev/zero")
    for path in (tmp_path / name, tmp_path / f"zero{name}"):
        with pytest.raises(ClipError, match="is a folder, a pipe or a device"):
            open_frames(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp4"))
        with pytest.raises(ClipError, match="socket.mp4"):
            open_frames(tmp_path / "socket.mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_pipes_in_a_folder_of_frames_are_left_out(tmp_path):
    save(tmp_path / "1.png", gray())
    os.mkfifo(tmp_path / "2.png")
    (tmp_path / "3.png").mkdir()
    assert [index for index, _ in open_frames(tmp_path)] == [1]
    frames = open_frames([tmp_path / "1.png", tmp_path / "2.png"])
    assert len(list(frames)) == 1 and frames.unreadable == 1


NAMES = ("10:33:12.mp4", "-i.mp4", "%d.mp4", "a?b#c.mp4", "concat:x|y.mp4", "http:a.mp4", "[1].mkv")


@pytest.mark.parametrize("name", NAMES)
def test_name_is_no_protocol_pattern_or_option(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "plain.mp4", np.arange(5) / 25)
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    assert len(list(open_frames(name))) == 5


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_name_that_is_no_text_is_read(tmp_path):
    plain = write(tmp_path / "plain.mp4", np.arange(5) / 25)
    other = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4")
    plain.rename(other)
    assert len(list(open_frames(other))) == 5


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
    "list.txt": "ffconcat version 1.0\nfile {0}\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5000 RTP/AVP 96\n",
    "list.mpd": '<?xml version="1.0"?><MPD><Period><BaseURL>{0}</BaseURL></Period></MPD>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("tail", ["", "\0" * 8])  # with zeros it does not look like text
def test_playlists_open_no_other_file(tmp_path, name, tail):
    video = write(tmp_path / "plain.mp4", np.arange(5) / 25)
    for path in (tmp_path / name, tmp_path / f"{name}.mp4"):
        path.write_text(PLAYLISTS[name].format(video) + tail)
        with pytest.raises(ClipError, match="text, not a video|is not a video"):
            open_frames(path)
