"""Videos and pictures on the page: uploaded, predicted, shown, and deleted again."""

from __future__ import annotations

import base64
import contextlib
import html
import math
import pathlib
import shutil
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fer_jax.faces.labels import NO_FACE, reason_of, said_of
from fer_jax.installation import needs
from fer_jax.live.drawing import ambiguity
from fer_jax.live.visitors import Refused, Session, Visitors
from fer_jax.machine import FULL, StorageError, storage_error
from fer_jax.predict.windows import ClipProblem
from fer_jax.storage import ELSEWHERE

if TYPE_CHECKING:
    from fer_jax.live.upload import Predicted

with needs("live"):
    import gradio as gr

_ROWS = 200  # of the table on the page
_STYLE = (pathlib.Path(__file__).parent / "web" / "upload.css").read_text(encoding="utf-8")
_EMPTY = "Choose a file: everybody in it is predicted. It is deleted afterwards."


def make_upload(predictor, visitors: Visitors, predict_file: Callable) -> None:
    """Makes the tab; results are deleted when the visitor leaves, see `Visitors`.

    Args:
      predictor: of `load_model`.
      visitors: of the page.
      predict_file: `upload.predict_file` of the predictor, called with path, folder and advance.
    """
    turn = threading.Lock()  # one file at a time: each takes all processors
    file = gr.File(label="Video or picture", file_types=["video", "image"], height=140)
    style = {"css_template": _STYLE, "apply_default_css": False}
    status = gr.HTML(_status(_EMPTY), **style)
    drawn = gr.HTML("", **style)  # a video of Gradio has no name to be read out
    download = gr.DownloadButton("Download table (CSV)", visible=False)
    table = gr.HTML("", **style)

    def predict(path: str, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        empty = {drawn: "", download: gr.update(value=None, visible=False), table: ""}
        try:
            done = _predict(
                predict_file, visitors, turn, pathlib.Path(path), request.session_hash, progress
            )
        except (Refused, ClipProblem) as problem:
            return {file: None, status: _status(f"Not predicted: {problem}"), **empty}
        said = [f"{done.rows['clip'][0]}: {len(done.rows)} rows", *done.notes]
        return {
            file: None,
            status: _status("; ".join(said)),
            drawn: f'<div class="drawn">{_video(done)}{_figure(done)}</div>',
            download: gr.update(value=done.table, visible=True),
            table: _table(predictor, done),
        }

    file.upload(
        predict, file, [file, status, drawn, download, table],
        concurrency_limit=None, api_visibility="private", show_progress_on=[status],
    )  # fmt: skip


def _predict(
    predict_file: Callable, visitors: Visitors, turn, path: pathlib.Path, key: str, progress
) -> Predicted:
    """Predicts an uploaded file when it is its turn, and deletes it.

    Raises:
      ClipProblem: it cannot be predicted.
      Refused: there are too many visitors, this one has left, or there is no room for files.
    """

    def advance(share: float, what: str) -> None:
        visitors.session(key)  # refuses if the page was closed
        progress(share, desc=what)

    with _needing_room():
        session, given = _take(path, visitors, key)
    try:
        while not turn.acquire(timeout=1.0):
            advance(0.0, "waiting for the files of others")
        try:
            with _needing_room():
                return predict_file(given / path.name, given.parent, advance)
        finally:
            turn.release()
    except Refused:
        raise
    except Exception as error:  # a damaged file may raise anything
        text = str(error) if isinstance(error, ClipProblem) else f"{type(error).__name__}: {error}"
        for folder in (given, given.parent):  # visitors are told no path of this machine
            text = text.replace(f"{folder}/", "")
        raise ClipProblem(text) from error
    finally:
        shutil.rmtree(given, ignore_errors=True)
        if session.closed:
            session.close()  # again: files may have been written meanwhile


@contextlib.contextmanager
def _needing_room() -> Iterator[None]:
    """Says on the terminal, not to visitors, which folder for temporary files is full.

    Raises:
      Refused: it is.
    """
    try:
        yield
    except (OSError, StorageError) as error:
        if isinstance(error, OSError):
            if error.errno not in FULL:
                raise
            error = storage_error(error, ELSEWHERE)
        print(f"error: {error}", file=sys.stderr)
        raise Refused("There is no room for files on this machine: try again later.") from error


def _take(path: pathlib.Path, visitors: Visitors, key: str) -> tuple[Session, pathlib.Path]:
    """Moves an uploaded file to a folder of its visitor's; returns session and folder.

    Gradio keeps equal files of two visitors at one path, and deletes them after ten minutes, even
    while they are being read.
    """
    try:
        session = visitors.session(key)
        given = session.new_folder() / "given"  # beside the results, whose names it may have
        given.mkdir()
        path.replace(given / path.name)
    except FileNotFoundError as error:
        raise Refused("The file is gone: choose it again.") from error
    except (Refused, OSError):
        path.unlink(missing_ok=True)
        raise
    return session, given


def _status(text: str) -> str:
    return f'<p role="status" aria-live="polite">{html.escape(text)}</p>'


def _video(done: Predicted) -> str:
    if done.video is None:
        return ""
    address = f"gradio_api/file={urllib.parse.quote(str(done.video))}"  # of the page's own server
    return (
        f'<video controls preload="metadata" src="{address}" aria-label="Annotated video"></video>'
    )


def _figure(done: Predicted) -> str:
    labels = list(dict.fromkeys(done.rows["label"]))
    count = len(set(done.rows["person"]) - {0})  # 0: nobody
    who = "1 person" if count == 1 else f"{count} people"
    alt = f"Predictions for {who}: {', '.join(map(str, labels[:8]))}"
    data = base64.b64encode(done.figure.read_bytes()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt, quote=True)}">'


def _table(predictor, done: Predicted) -> str:
    """The first rows, readable; the download has all columns."""
    lines = []
    for row in done.rows.head(_ROWS).to_dict("records"):
        said = row["label"] if row["label"] == NO_FACE else said_of(row)
        withheld = row["abstained"] and said != NO_FACE
        cells = [
            f"{row['start']:.2f} to {row['end']:.2f}",
            row["person"] or "–",
            f"{reason_of(row)}: perhaps {said}" if withheld else said,
            _number(ambiguity(predictor, row).value if row["frames"] else math.nan),
            _number(row["unfamiliarity"]),
        ]
        lines.append("".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells))
    more = f"; {len(done.rows) - _ROWS} more in the download" * (len(done.rows) > _ROWS)
    heads = ("seconds", "person", "says", "ambiguous", "unfamiliar")
    return (
        '<div class="scrolling" tabindex="0" role="region" aria-label="Rows of the file"><table>'
        f"<caption>{html.escape(str(done.rows['clip'].iloc[0]))}{more}</caption><thead><tr>"
        + "".join(f'<th scope="col">{head}</th>' for head in heads)
        + "</tr></thead><tbody>"
        + "".join(f"<tr>{line}</tr>" for line in lines)
        + "</tbody></table></div>"
    )


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
