"""The camera on the page: an element whose script sends pictures and draws the answers."""

from __future__ import annotations

import pathlib

from fer_jax.installation import needs
from fer_jax.live.drawing import shown
from fer_jax.live.pictures import decode
from fer_jax.live.visitors import Refused, Visitors
from fer_jax.predict.windows import ClipProblem, columns
from fer_jax.tasks.csv_cells import csv_text

with needs("live"):
    import gradio as gr

_WEB = pathlib.Path(__file__).parent / "web"


def make_camera(predictor, visitors: Visitors) -> gr.HTML:
    """Makes the element; its value is the key of the visitor, see `Visitors`."""

    def look(given: dict) -> dict:
        """Answers a picture: what `drawing.shown` says, or why it is refused."""
        try:
            picture = decode(given["picture"])
            seen = visitors.session(given["key"]).look(picture, float(given["seconds"]))
        except (Refused, ClipProblem) as refused:
            return {"refused": str(refused)}
        except (KeyError, TypeError, ValueError):  # the browser's clock may have been set back
            return {"refused": "The page sent no picture that is later than the last: reload it."}
        return shown(predictor, seen)

    def table(given: dict) -> dict:
        """Answers with all rows as a CSV file, its columns those of `fer-jax predict`."""
        import pandas as pd

        try:
            if not (rows := visitors.session(given["key"]).rows()):
                raise Refused(
                    "There are no rows: they are forgotten after a while without pictures."
                )
        except Refused as refused:
            return {"refused": str(refused)}
        names = columns(predictor.classes, predictor.task)
        rows = pd.DataFrame([{"clip": "camera"} | row for row in rows], columns=names)
        return {"csv": csv_text(rows)}

    return gr.HTML(
        value="",
        html_template=_text("camera.html"),
        css_template=_text("camera.css"),
        js_on_load=_text("drawing.js") + _text("camera.js"),
        server_functions=[look, table],
        apply_default_css=False,
        elem_id="camera",
    )


def _text(name: str) -> str:
    return (_WEB / name).read_text(encoding="utf-8")
