"""An uploaded video or picture: the table of `predict_clips`, a figure, a video browsers play."""

import shutil

import av
import cv2
import pandas as pd
import pytest

import fer_jax
from fer_jax import shipped
from fer_jax.live import upload
from fer_jax.live.visitors import Refused
from fer_jax.predict.options import Options
from fer_jax.predict.windows import ClipProblem
from fer_jax.synthetic import demo

HOW = Options(mc_samples=4, people="all")


@pytest.fixture(scope="module")
def faces():
    return fer_jax.load_model("faces")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """The portrait for a second; it blurs."""
    return demo.write_portrait(tmp_path_factory.mktemp("portrait"), frames=25)


def ignore(share, what):
    pass


def test_a_video_gives_what_the_command_gives(faces, video, tmp_path):
    shares = []
    done = upload.predict_file(
        faces, HOW, video, tmp_path, lambda share, what: shares.append((share, what))
    )
    same = fer_jax.predict_clips(faces, video, mc_samples=4, people="all")
    saved = pd.read_csv(done.table).fillna({"reason": ""})
    assert set(saved["clip"]) == {"blurring.mp4"}  # and no path of this machine
    pd.testing.assert_frame_equal(saved.drop(columns="clip"), same.drop(columns="clip"))
    assert cv2.imread(str(done.figure)).shape[1] > 200
    with av.open(str(done.video)) as made:
        stream = made.streams.video[0]
        assert stream.codec_context.name in ("h264", "vp8")
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert sum(1 for _ in made.decode(stream)) == 25
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        file.name for file in (done.table, done.figure, done.video)
    )
    assert [what for _, what in shares if what == "reading"] and shares[-1][0] <= 1
    assert [share for share, _ in shares] == sorted(share for share, _ in shares)


def test_a_picture_gives_its_figure_and_no_video(faces, tmp_path):
    done = upload.predict_file(faces, HOW, shipped.PORTRAIT, tmp_path, ignore)
    assert done.video is None and done.rows["label"].tolist() == ["happiness"]
    assert cv2.imread(str(done.figure)) is not None


def test_files_that_cannot_be_predicted_say_why(faces, tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    with pytest.raises(ClipProblem, match="not a video"):
        upload.predict_file(faces, HOW, text, tmp_path, ignore)
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), cv2.imread(str(shipped.PORTRAIT))[:40, :40])
    with pytest.raises(ClipProblem, match="no face"):
        upload.predict_file(faces, HOW, grey, tmp_path, ignore)


def test_it_stops_when_the_visitor_leaves(faces, video, tmp_path):
    def left(share, what):
        raise Refused("gone")

    with pytest.raises(Refused):
        upload.predict_file(faces, HOW, video, tmp_path, left)


def test_another_codec_is_taken_where_the_first_is_missing(monkeypatch, video, tmp_path):
    copy = tmp_path / "annotated.mp4"
    shutil.copy(video, copy)
    monkeypatch.setattr(upload, "_CODECS", (("no_such_codec", "mp4", {}), upload._CODECS[1]))
    played = upload.playable(copy, lambda: None, pytest.fail)
    assert played.suffix == ".webm" and not copy.exists()
    copy.write_bytes(played.read_bytes())
    said = []
    monkeypatch.setattr(upload, "_CODECS", (("no_such_codec", "mp4", {}),))
    assert upload.playable(copy, lambda: None, said.append) is None
    assert said and said[0].startswith("no annotated video: ")
