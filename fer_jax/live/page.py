"""The page of `fer-jax live`: a camera or an uploaded video in the browser, with predictions.

    import fer_jax
    from fer_jax.live.page import LAUNCH, make_page

    make_page(fer_jax.load_model("faces")).launch(**LAUNCH)

Pictures of a camera go to the server that runs this, nowhere else, and are not stored. Uploaded
files are deleted once they are predicted, and their results when the visitor leaves.
"""

from __future__ import annotations

import atexit
import functools
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Callable

from fer_jax.installation import needs
from fer_jax.live.about import about
from fer_jax.live.camera_tab import make_camera
from fer_jax.live.engine import Engine
from fer_jax.live.upload import predict_file
from fer_jax.live.upload_tab import make_upload
from fer_jax.live.visitors import IDLE, MOST, Visitors
from fer_jax.predict.options import ALL, Options
from fer_jax.storage import naming_temporary

with needs("live"):
    import gradio as gr

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What `gradio.Blocks.launch` is given, wherever the page runs.
LAUNCH = {
    "share": False, "show_error": True, "quiet": True, "footer_links": [], "run_history": False,
    "ssr_mode": False, "pwa": False, "mcp_server": False, "enable_monitoring": False,
    "max_file_size": "500mb",
    # Gradio's orange and gray are too pale for text
    "css": "button[role=tab][aria-selected=true], .or { color: var(--body-text-color) !important }",
}  # fmt: skip


def make_page(
    predictor, *, bundle=None, mc_samples: int = 100, landmark_model=None, visitors: int = MOST
) -> gr.Blocks:
    """Makes the page.

    Args:
      predictor: of `fer_jax.load_model`.
      bundle: what that was given, whose card the page shows; default: the name of the model.
      mc_samples, landmark_model: see `predict_clips`.
      visitors: how many may use it at a time.

    Returns:
      The page, to be launched with `LAUNCH`; its `visitors` are the open sessions.

    Raises:
      machine.StorageError: there is no room for what is uploaded.
    """
    folder = _private_folder()
    how = {"mc_samples": mc_samples, "landmark_model": landmark_model, "people": ALL}
    make_engine = functools.partial(Engine, predictor, **how)
    predict = functools.partial(predict_file, predictor, Options(**how))
    sessions = Visitors(make_engine, most=visitors, folder=folder)
    atexit.register(sessions.close)
    known = about(predictor, predictor.name if bundle is None else bundle)

    def arrive(request: gr.Request) -> str:
        sessions.arrive(request.session_hash)
        return request.session_hash

    def leave(request: gr.Request) -> None:
        sessions.leave(request.session_hash)

    with gr.Blocks(
        title="fer_jax live", analytics_enabled=False, delete_cache=(60, int(IDLE))
    ) as page:
        gr.Markdown(f"# Facial expressions and how sure they are\n{known.line}")
        with gr.Tab("Camera"):
            camera = make_camera(predictor, sessions)
        with gr.Tab("Video or picture"):
            make_upload(predictor, sessions, predict)
        gr.Markdown(f"**Limits.** {known.limits}")
        with gr.Accordion("Model card", open=False):
            gr.Markdown(known.card)
        page.load(arrive, None, camera, api_visibility="private", show_progress="hidden")
        page.unload(leave)
    page.visitors = sessions
    return page


def _private_folder() -> pathlib.Path:
    """A folder for what is uploaded, readable by this user alone."""
    with naming_temporary():
        folder = tempfile.mkdtemp(prefix="fer_jax_live_")
    os.environ["GRADIO_TEMP_DIR"] = folder  # Gradio has no other way to be told
    return pathlib.Path(folder)


def serve(
    predictor,
    *,
    bundle=None,
    host: str = "127.0.0.1",
    port: int | None = None,
    mc_samples: int = 100,
    landmark_model=None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Serves the page until Ctrl-C.

    Args:
      predictor, bundle, mc_samples, landmark_model: see `make_page`.
      host: address to listen on; others than those of this machine get a warning.
      port: default: the first free one from 7860 on.
      say: takes each message, one line; default: prints to stderr.

    Raises:
      OSError: the port is taken, or the address is not one of this machine.
      machine.StorageError: there is no room for what is uploaded.
    """
    say = say or functools.partial(print, file=sys.stderr)
    if host not in LOOPBACK:
        say(
            f"warning: everybody who reaches {host} over the network can open the page, and "
            "pictures travel unencrypted; browsers allow the camera only on pages of localhost or "
            "of https"
        )
    how = {"mc_samples": mc_samples, "landmark_model": landmark_model}
    page = make_page(predictor, bundle=bundle, **how)
    try:
        url = launch(page, host, port)
        say(f"open {url} in a browser; Ctrl-C ends it")
        threading.Event().wait()
    finally:
        page.visitors.close()  # first: a second signal may end the program at once
        page.close(verbose=False)
        page.visitors.close()  # what was uploaded meanwhile


def launch(page: gr.Blocks, host: str, port: int | None) -> str:
    """Starts the server of a page; returns its address. Raises an OSError as `serve` does."""
    name = f"[{host}]" if ":" in host else host  # as it stands in an address
    try:
        _, url, _ = page.launch(
            server_name=name, server_port=port, prevent_thread_lock=True, **LAUNCH
        )
    except OSError as error:
        what = f"port {port} of {host}" if port else f"a port of {host}"
        remedy = "give another --port, or none for a free one" if port else "give another --host"
        raise OSError(f"{what} cannot be used, as if it was taken: {remedy}") from error
    return url
