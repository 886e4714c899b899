"""Predicts a camera as it records: a page in the browser, or rows of a table.

    {prog}                          the page, with the model faces
    {prog} faces --camera 0 --out rows.csv

The page takes the camera of the browser, or a video; pictures stay on this machine and are not
stored. With --camera there is no page: every window becomes a row, as soon as it is complete, in
--out or on stdout, until Ctrl-C.

Exit codes: 0 if a file given as a camera has ended; 1 if the model or the camera cannot be used, a
port is taken or a row cannot be written; 2 if an option is wrong; 130 after Ctrl-C, which is the
way to end it.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import socket
import sys

from fer_jax import installation, shipped
from fer_jax.commands import interrupts
from fer_jax.machine import StorageError, printable, storage_error
from fer_jax.predict.options import ALL, LARGEST, Options

_ONLY_PAGE, _ONLY_CAMERA = ("host", "port"), ("out", "people")


def main(arguments: list[str] | None = None, prog: str = "fer-jax live") -> int:
    """Runs the command line; returns the exit code."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    page = options.camera is None
    for name in _ONLY_CAMERA if page else _ONLY_PAGE:
        if getattr(options, name) is not None:
            where = "needs --camera" if page else "is of the page: leave out one of the two"
            parser.exit(2, f"error: --{name} {where}\n")
    if options.port is not None and not 0 < options.port < 65536:
        parser.exit(2, f"error: --port {options.port}: give a number from 1 to 65535\n")
    try:
        Options(mc_samples=options.mc_samples, landmark_model=options.landmark_model)
    except ValueError as error:
        name, _, problem = str(error).partition(" ")
        parser.exit(2, f"error: --{name.replace('_', '-')} {problem}\n")
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    from fer_jax.live.camera import CameraError  # imports jax, which --help does without
    from fer_jax.predict.windows import ClipProblem

    try:
        return _page(options) if options.camera is None else _rows(options)
    except KeyboardInterrupt:
        _say("stopped")
        return interrupts.CODE
    except BrokenPipeError:
        raise  # whoever read stdout has enough: the program ends quietly
    except OSError as error:
        return _failed(storage_error(error) if error.errno else error)
    except (
        CameraError, ClipProblem, StorageError, ValueError, installation.NotInstalledError,
    ) as error:  # fmt: skip
        return _failed(error)


def _failed(error) -> int:
    print(f"error: {printable(error)}", file=sys.stderr)
    return 1


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def _predictor(options: argparse.Namespace):
    """Loads and compiles the model; says what its numbers do not promise."""
    from fer_jax.live.warm_up import warm_up
    from fer_jax.predict.load import load_model
    from fer_jax.predict.options import say_first

    predictor = load_model(shipped.locate(options.bundle), _say)
    _say("preparing the model ...")
    warm_up(predictor, options.mc_samples, options.landmark_model)
    say_first(predictor, Options(), "`threshold` of predict_frames", _say)
    return predictor


def _check_address(host: str, port: int | None) -> None:
    """Raises an OSError if no page can be served there: Gradio would wait for ever."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port or 0), family=family).close()
    except OSError as error:
        where = f"port {port} of {host}" if port else host
        remedy = "--port, or none for a free one" if port else "--host"
        raise OSError(f"{where} cannot be used: {error.strerror}: give another {remedy}") from error


def _page(options: argparse.Namespace) -> int:
    host = options.host or "127.0.0.1"
    _check_address(host, options.port)
    from fer_jax.live import page  # says how to install Gradio before a model is loaded

    page.serve(
        _predictor(options),
        bundle=options.bundle,
        host=host,
        port=options.port,
        mc_samples=options.mc_samples,
        landmark_model=options.landmark_model,
        say=_say,
    )
    return 0


def _rows(options: argparse.Namespace) -> int:
    from fer_jax.live.camera import Camera, run

    with contextlib.ExitStack() as held:
        camera = Camera(options.camera)  # before the seconds that the model takes
        held.callback(camera.close)
        predictor, out = _predictor(options), sys.stdout
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            if options.out.exists():
                raise ValueError(f"{options.out} exists already: give another file (--out)")
            out = held.enter_context(options.out.open("x", newline="", encoding="utf-8"))
        rows = run(
            predictor, camera, out, _say, people=options.people or ALL,
            mc_samples=options.mc_samples, landmark_model=options.landmark_model,
        )  # fmt: skip
    _say(f"{rows} rows" + ("" if options.out is None else f" in {options.out}"))
    if not rows:
        _say("the camera ended before a window was complete: fer-jax predict takes short files")
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, path = parser.add_argument, pathlib.Path
    add("bundle", metavar="BUNDLE", nargs="?", default="faces",
        help="a name of `fer-jax models`, or the folder of a model (default: faces)")  # fmt: skip
    add("--camera", type=_camera, metavar="SOURCE",
        help="no page: number of a camera (0 is the first), a file, or the address of a "
        "stream")  # fmt: skip
    add("--out", type=path, metavar="CSV", help="new table of --camera (default: stdout)")
    add("--people", choices=(ALL, LARGEST),
        help="of --camera: every face (default), or the largest")  # fmt: skip
    add("--host", metavar="ADDRESS",
        help="on which the page is served (default 127.0.0.1, for this machine alone)")  # fmt: skip
    add("--port", type=int, help="of the page (default: the first free one from 7860 on)")
    add("--mc-samples", type=int, default=100, help="MC samples per window (default 100)")
    add("--landmark-model", type=path, metavar="DAT",
        help="dlib 68-point model, as in fer-jax predict")  # fmt: skip
    return parser


def _camera(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
