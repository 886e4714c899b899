"""MMI: 205 labelled frontal sequences of about 30 people, with the apex in the middle.

--source names the folder that holds the unpacked downloads:

  Sessions/1767/S031-001.avi
  Sessions/1767/S031-001.xml   (emotion and subject)
  Sessions/1767/session.xml    (view)

Sessions of stills, in profile or without one of the six emotions are dropped with the reason. If a
frame shows both views side by side, the half with a frontal face is kept.
"""

from __future__ import annotations

import collections
import pathlib
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from fer_jax.faces.labels import MMI_CLASSES
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import IMAGE_SUFFIXES
from fer_jax.storage import open_regular, read_regular

from .. import folder_tree
from ..clip import Clip, SourceError
from .frontal_view import FrontalHalf

CLASSES = MMI_CLASSES
_COUNTS = dict(zip(CLASSES, (32, 31, 28, 42, 32, 40), strict=True))
_CODES = {float(code): name for code, name in enumerate(CLASSES, 1)}
_FRONTAL, _PROFILE, _BOTH = 0.0, 1.0, 2.0
_LAYOUT = """Expected, unpacked from the downloads that the owners of the database give access to:
  Sessions/1767/S031-001.avi, Sessions/1767/S031-001.xml, Sessions/1767/session.xml"""
IMAGES = 11_500  # as the 3D Inception-ResNet paper counts them, section 4.1


def add_options(parser) -> None:
    parser.add_argument(
        "--include",
        metavar="FILE",
        help="read only what this file lists: one session number or clip (1767/S031-001) a line",
    )


def clips(source, options) -> Iterator[Clip]:
    """Lists the videos of all sessions; one that cannot be used is listed with its problem."""
    sessions = _sessions(source)
    wanted = _wanted(options.include) if options.include else None
    missing = dict(wanted or {})
    for session in sessions:
        for video in _videos(session) or [None]:
            clip_id = f"{session.name}/{video.stem}" if video else session.name
            names = {_key(session.name), _key(clip_id)} | ({_key(video.stem)} if video else set())
            if wanted is None or names & wanted.keys():
                for name in names:
                    missing.pop(name, None)
                yield _clip(clip_id, session, video, options.landmark_model)
    if wanted and len(missing) == len(wanted):
        raise SourceError(
            f"nothing that {options.include} lists is in {sessions[0].parent} (sessions "
            f"{sessions[0].name} to {sessions[-1].name}): list session numbers or clips, one a line"
        )
    for name in missing.values():
        problem = ClipError(
            "not in the tree", f"{options.include} lists {name}, which does not exist"
        )
        yield Clip(name, "", "", None, problem=problem)


def notes(kept: list[Clip]) -> list[str]:
    """Notes where the number of sequences differs from the papers."""
    whole = "205 labelled frontal sequences; --include names yours"
    return folder_tree.official_note(kept, {"train": _COUNTS}, whole)


def _sessions(source) -> list[pathlib.Path]:
    """Finds the folders of all sessions, in the order of their numbers.

    A download in parts has several folders named Sessions, which are read together.
    """
    for base in folder_tree.bases(source, {"sessions"}, "MMI", _LAYOUT):
        found = folder_tree.find(base, _holds_sessions)
        if found:
            folders = [
                folder for sessions in found for folder in folder_tree.folders(sessions, r"\d+")
            ]
            return sorted(folders, key=lambda folder: (int(folder.name), folder))
    missing = "no folder Sessions with numbered sessions (1767/ and so on)"
    raise folder_tree.layout_error("MMI", source, missing, _LAYOUT)


def _holds_sessions(folder: pathlib.Path) -> bool:
    return folder.name.casefold() == "sessions" and bool(folder_tree.folders(folder, r"\d+"))


def _wanted(file: str) -> dict[str, str]:
    """Reads an include list: key, see `_key`, -> the name as written."""
    try:
        lines = read_regular(pathlib.Path(file)).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise SourceError(f"--include {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"--include {file} is not a text in UTF-8: save it as such") from error
    names = [line.partition("#")[0].strip() for line in lines]
    wanted = {_key(name): name for name in names if name}
    if not wanted:
        raise SourceError(f"--include {file} is empty: list session numbers or clips, one a line")
    return wanted


def _key(name: str) -> str:
    """Returns the key of a name: lower case, no suffix, no zeros before a session number."""
    name = name.casefold().removesuffix(".avi")
    return re.sub(r"^0+(?=\d+(/|$))", "", name)


def _videos(session: pathlib.Path) -> list[pathlib.Path]:
    try:
        return [path for path in folder_tree.entries(session) if path.suffix.lower() == ".avi"]
    except OSError:
        return []  # `_no_video` gives the reason


def _no_video(session: pathlib.Path) -> ClipError:
    try:
        stills = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in folder_tree.entries(session))
    except OSError as error:
        return ClipError("unreadable", f"{session}: {error.strerror}")
    what = f"stills only ({stills})" if stills else "no .avi"
    return ClipError("no video", f"{session} holds {what}")


def _clip(clip_id: str, session, video: pathlib.Path | None, model) -> Clip:
    """Makes the clip of a video: reads its subject, label and view."""
    subject, label = _named(video) if video else "", ""
    try:
        if video is None:
            raise _no_video(session)
        tags = _metatags(video)
        label = _label(video, tags)
        subject, subject_note = _subject(video, tags)
        view, view_note = _view(video)
        source = _source(video, view, model)
    except ClipError as problem:
        return Clip(clip_id, subject, label, None, problem=problem)
    note = "; ".join(filter(None, (subject_note, view_note)))
    return Clip(clip_id, subject, label, source, note=note)


def _source(video: pathlib.Path, view: float, model):
    if view == _PROFILE:
        raise ClipError("profile view", f"{video} shows the face from the side")
    return video if view == _FRONTAL else FrontalHalf(video, model)


def _metatags(video: pathlib.Path) -> dict[str, set[str]]:
    """Reads the values of every Metatag of a video's XML by its name in lower case."""
    path = _beside(video, f"{video.stem}.xml")
    if path is None:
        raise ClipError("no label", f"there is no {video.stem}.xml beside {video}")
    values = collections.defaultdict(set)
    for tag in _elements(path, "metatag", "unreadable label"):
        if tag.get("value", "").strip():
            values[tag.get("name", "").strip().casefold()].add(tag["value"].strip())
    return values


def _beside(video: pathlib.Path, name: str) -> pathlib.Path | None:
    same = (
        path
        for path in folder_tree.entries(video.parent)
        if path.name.casefold() == name.casefold()
    )
    return next(same, None)


def _elements(path: pathlib.Path, name: str, reason: str) -> list[dict[str, str]]:
    """Returns the attributes of all elements of a name, whatever their case and namespace.

    Raises:
      ClipError: with `reason`, the file is not XML or cannot be read.
    """
    try:
        with open_regular(path) as file:
            root = ElementTree.parse(file).getroot()
    except OSError as error:
        raise ClipError(reason, f"{path}: {error.strerror}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: encoding
        raise ClipError(reason, f"{path} is not XML: {error}") from error
    named = [tag for tag in root.iter() if str(tag.tag).rpartition("}")[2].casefold() == name]
    return [{key.casefold(): value for key, value in tag.attrib.items()} for tag in named]


def _label(video: pathlib.Path, tags: dict[str, set[str]]) -> str:
    found = tags["emotion"]
    if not found:
        raise ClipError("no label", f"{video.stem}.xml has no Metatag Emotion")
    names = {_emotion(text) for text in found} - {None}
    if len(names) > 1:
        raise ClipError("several labels", f"{video.stem}.xml: {', '.join(sorted(found))}")
    if not names:
        shown = ", ".join(sorted(found))
        raise ClipError("no label", f"{video.stem}.xml: Emotion {shown!r} is none of 1 to 6")
    return names.pop()


def _emotion(text: str) -> str | None:
    name = text.casefold()
    return name if name in CLASSES else _CODES.get(_number(text))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _subject(video: pathlib.Path, tags: dict[str, set[str]]) -> tuple[str, str]:
    """Returns the subject, and a note if the XML and the file name differ."""
    named = _named(video)
    tagged = {_person(text) for text in tags["subjectid"]}
    if len(tagged) > 1 or not (tagged or named):
        several = "several: " + ", ".join(sorted(tagged))
        detail = several if tagged else "no SubjectID, no S000- in name"
        raise ClipError("unknown subject", f"{video.stem}.xml: {detail}")
    subject = tagged.pop() if tagged else named
    differ = named and subject != named
    return subject, f"SubjectID is {subject}, the file name has {named}" if differ else ""


def _named(video: pathlib.Path) -> str:
    match = re.match(r"S\d+(?=-)", video.stem, re.IGNORECASE)
    return _person(match[0]) if match else ""


def _person(text: str) -> str:
    """Returns S001 for 1, 001, s1 and S001, so that folds see one person."""
    match = re.fullmatch(r"S?0*(\d+)", text, re.IGNORECASE)
    return f"S{int(match[1]):03d}" if match else text


def _view(video: pathlib.Path) -> tuple[float, str]:
    """Returns the view, and a note if it is unknown.

    Raises:
      ClipError: session.xml is broken or has an unknown view.
    """
    path = _beside(video, "session.xml")
    if path is None:
        return _FRONTAL, "no session.xml: assumed frontal"
    tracks = [t for t in _elements(path, "track", "unreadable view") if t.get("view", "").strip()]
    own = [t for t in tracks if video.name.casefold() in map(str.casefold, t.values())]
    views = {t["view"].strip() for t in own or tracks}
    if len(views) != 1:
        what = "several views" if views else "no view"
        return _FRONTAL, f"session.xml names {what} for {video.name}: assumed frontal"
    text = views.pop()
    view = _number(text)
    if view not in (_FRONTAL, _PROFILE, _BOTH):
        raise ClipError("unknown view", f"{path}: view {text!r} is none of 0, 1, 2")
    return view, ""
