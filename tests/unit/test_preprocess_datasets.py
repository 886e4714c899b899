"""What the data sets list: rows, labels, subjects, splits, and problems instead of surprises."""

import argparse
import collections

import pytest

from fer_jax.labels import RAVDESS_CLASSES
from preprocess.clip import SourceError
from preprocess.datasets import DATASETS, manifest, ravdess, synthetic


def options(dataset, *arguments):
    parser = argparse.ArgumentParser()
    getattr(dataset, "add_options", lambda parser: None)(parser)
    return parser.parse_args(arguments)


def listed(tmp_path, text: str, encoding="utf-8"):
    for name in ("a.mp4", "b.mp4", "ü x.mp4"):
        (tmp_path / name).touch()
    path = tmp_path / "manifest.csv"
    path.write_text(text, encoding=encoding)
    return list(manifest.clips(path, None))


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_explains_itself(name):
    assert DATASETS[name].__doc__.strip()


def test_manifest_rows(tmp_path):
    header = "subject, path ,label,split,fps,note\n"
    rows = "p1,a.mp4,joy,train,,x\np2,ü x.mp4, calm  now,test,12.5,\n"
    first, second = listed(tmp_path, header + rows)
    assert (first.clip_id, first.subject, first.label) == ("a.mp4", "p1", "joy")
    assert (first.split, first.fps, first.source) == ("train", 0, tmp_path / "a.mp4")
    assert (second.label, second.split, second.fps) == ("calm now", "test", 12.5)
    assert first.problem is second.problem is None


def test_manifest_with_byte_order_mark_and_without_split(tmp_path):
    (clip,) = listed(tmp_path, "path,subject,label\na.mp4,p1,joy\n", "utf-8-sig")
    assert clip.split == "train"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.mp4,p1,,", "empty label"),
        ("a.mp4,,joy,", "empty subject"),
        (",p1,joy,", "empty path"),
        ("a.mp4", "empty subject"),
        ("c.mp4,p1,joy,", "missing file"),
        ("a.mp4,p1,joy,all", "unknown split"),
        ("a.mp4,p1,joy,../x", "unknown split"),
        ("a.mp4,p1,joy, or calm,train,25", "too many cells"),
        ("./b.mp4,p1,joy,", "duplicate path"),
        ("a.mp4,p1,joy,train,many", "impossible fps"),
    ],
)
def test_a_bad_row_is_listed_with_its_problem(tmp_path, row, reason):
    text = f"path,subject,label,split,fps\nb.mp4,p0,joy,,\n{row}\n"
    good, bad = listed(tmp_path, text)
    assert good.problem is None
    assert bad.problem.reason == reason
    assert "line 3" in f"{bad.clip_id} {bad.problem}"


def test_splits_have_other_names(tmp_path):
    given = {"a.mp4": "Train", "b.mp4": "VAL", "ü x.mp4": "dev"}
    text = "".join(f"{name},p,joy,{split}\n" for name, split in given.items())
    clips = listed(tmp_path, "path,subject,label,split\n" + text)
    assert [clip.split for clip in clips] == ["train", "validation", "validation"]


def test_a_misspelt_split_is_told_the_names(tmp_path):
    (clip,) = listed(tmp_path, "path,subject,label,split\na.mp4,p1,joy,tset\n")
    assert "line 2: 'tset' is not one of train, validation, test" in str(clip.problem)


def test_a_comma_in_a_label_needs_quotes(tmp_path):
    text = 'path,subject,label\na.mp4,p1,calm, now\nb.mp4,p1,"calm, now"\nü x.mp4,p1,joy, ,\n'
    torn, quoted, padded = listed(tmp_path, text)
    assert torn.problem.reason == "too many cells" and "quote" in str(torn.problem)
    assert quoted.problem is None and quoted.label == "calm, now"
    assert padded.problem is None  # empty cells at the end say nothing


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,subject,label\na,b,c\n", "no column path"),
        (b"path\na\n", "no column subject and no column label"),
        (b"", "no column path"),
        (b"path,subject,label\n\xff\xfe\xfa,b,c\n", "no CSV in UTF-8"),
    ],
)
def test_what_is_no_manifest_says_what_one_is(tmp_path, content, message):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        list(manifest.clips(path, None))


@pytest.mark.parametrize("dataset", [manifest, ravdess])
@pytest.mark.parametrize("source", [None, "/does/not/exist"])
def test_missing_source(dataset, source):
    with pytest.raises(SourceError, match="source"):
        list(dataset.clips(source, options(dataset)))


def test_ravdess_names_are_read(tmp_path):
    for name in ("01-01-03-02-01-01-12", "01-01-08-01-02-02-01", "01-02-05-01-01-01-03", "other"):
        (tmp_path / "Actor_12").mkdir(exist_ok=True)
        (tmp_path / "Actor_12" / f"{name}.csv").touch()
    found = {c.clip_id: c for c in ravdess.clips(tmp_path, options(ravdess))}
    assert sorted(found) == ["01-01-03-02-01-01-12", "01-01-08-01-02-02-01"]
    clip = found["01-01-03-02-01-01-12"]
    assert (clip.subject, clip.label, clip.frame_size) == ("actor12", "happy", (1280, 720))
    assert found["01-01-08-01-02-02-01"].label == "surprised"
    with_song = list(ravdess.clips(tmp_path, options(ravdess, "--song")))
    assert {c.label for c in with_song} == {"happy", "surprised", "angry"}
    assert {c.label for c in with_song} < set(RAVDESS_CLASSES)


def test_ravdess_tells_where_to_get_it(tmp_path):
    with pytest.raises(SourceError, match=r"3255102.*FacialTracking_Actors_01-24.zip.*CC BY-NC-SA"):
        list(ravdess.clips(tmp_path, options(ravdess)))


def test_synthetic_clips_are_those_of_the_generator():
    chosen = options(synthetic, "--subjects", "5", "--clips-per-subject", "7", "--seed", "3")
    clips = list(synthetic.clips(None, chosen))
    assert len({clip.clip_id for clip in clips}) == 35
    people = collections.defaultdict(set)
    for clip in clips:
        people[clip.subject].add(clip.split)
    assert all(len(splits) == 1 for splits in people.values())
    assert {clip.split for clip in clips} == {"train", "validation", "test"}
    made = clips[10].source.make()
    assert (made.clip_id, made.subject) == (clips[10].clip_id, clips[10].subject)
    assert made.label == clips[10].label
    sequence = clips[10].source.load()
    assert sequence.action_units.shape == (len(made.landmarks), len(synthetic.ACTION_UNITS))


@pytest.mark.parametrize("arguments", [("--subjects", "2"), ("--difficulty", "1.5")])
def test_synthetic_refuses_what_cannot_be_made(arguments):
    with pytest.raises(SourceError):
        list(synthetic.clips(None, options(synthetic, *arguments)))
