"""A page in a process of its own: Gradio leaves event loops open, which tests take for errors.

    python -m tests.live.remote MODEL

It prints the address of the page, then the value of every expression that it reads, as JSON.
"""

import json
import pathlib
import subprocess
import sys

import fer_jax

ROOT = pathlib.Path(__file__).parents[2]


class Remote:
    """The process, as a context; `url` is the address of the page."""

    def __init__(self, model: str):
        command = [sys.executable, "-m", "tests.live.remote", model]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=ROOT, **pipes)

    def __enter__(self):
        self.url = self._read()
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def kill(self) -> None:
        """Ends the process at once, as a crash does."""
        self._process.kill()

    def ask(self, expression: str):
        """The value of an expression over the `names` of `main`."""
        self._process.stdin.write(f"{expression}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self):
        line = self._process.stdout.readline()
        assert line, "the process of the page has ended, see what it printed"
        return json.loads(line)


def main(name: str) -> None:
    asked = []  # hosts that this process looked for or connected to

    def note(event, arguments):
        if event in ("socket.connect", "socket.getaddrinfo"):
            asked.append(str(arguments[1 if event == "socket.connect" else 0]))

    sys.addaudithook(note)
    from fer_jax.live import page

    model = fer_jax.load_model(name)
    made = page.make_page(model, mc_samples=4, visitors=2)
    print(json.dumps(page.launch(made, "127.0.0.1", None)), flush=True)

    def error_of(function, *arguments, **options):
        try:
            function(*arguments, **options)
        except (OSError, KeyboardInterrupt) as error:
            return str(error)

    names = {
        "made": made, "page": page, "model": model, "said": [], "asked": asked,
        "error_of": error_of,
    }  # fmt: skip
    names["names"] = names
    for line in sys.stdin:
        print(json.dumps(eval(line, names)), flush=True)
    made.close(verbose=False)
    made.visitors.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
