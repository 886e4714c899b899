"""The rules of the house: imports point down, few and short files, one pmap, a light core."""

import ast
import collections
import functools
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# From the roof down: a file uses its own room and those behind it, also inside functions.
ROOMS = (
    "commands", "export", "live", "zoo", "reproduce", "compare", "predict", "systems",
    "experiments", "training", "tables", "tasks", "data", "synthetic", "plotting", "uncertainty",
    "metrics", "layers", "faces", "papers", "hosts", "progress", "storage", "machine", "stopping",
    "shipped", "installation",
)  # fmt: skip
# Their public names and tables reach what lies inside their own room when they are used.
TABLES = {"fer_jax", "fer_jax.predict", "fer_jax.systems", "fer_jax.tasks"}
HEAVY = {"torch", "tensorflow", "dlib"}
FILES, LINES = 12, 350  # at most: files of a folder, lines of a file
# Most imports in a row: without tables; and with tables and what they open by the path of a module,
# from `fer_jax.commands` over a search of ST-BLN to `fer_jax.uncertainty.people`.
CHAIN, CHAIN_WHEN_CALLED = 12, 18
# One file each published dataset.
MANY_FILES = {"preprocess/datasets"}
# Of a system, what is no network: it may know data and configs.
TRAINED_OR_DRAWN = {"growth", "search", "search_report", "stages", "figures"}


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def room_of(path):
    """Room of a file of fer_jax; files that stand alone are rooms of their own."""
    return path.relative_to(ROOT / "fer_jax").with_suffix("").parts[0]


def module_of(path):
    """Dotted name of a module; a package has that of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in [*sources("fer_jax"), *sources("preprocess")]}


def full_name(path, node):
    """Full name of the module of a `from` import; `preprocess` imports itself relatively."""
    if not node.level:
        return node.module
    folder = path.relative_to(ROOT).parts[: -node.level]
    return ".".join([*folder, *filter(None, [node.module])])


@functools.cache
def imports(path, outermost_only=False) -> tuple[str, ...]:
    """Full names of everything a file imports, also inside functions.

    Left out is what it imports for types alone, or as a program (`python -m`).
    """
    return tuple(read_imports(path, outermost_only))


def read_imports(path, outermost_only):
    tree = ast.parse(path.read_text())
    left_out = {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
        for each in ast.walk(node)
    }
    for node in tree.body if outermost_only else ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level or path.is_relative_to(ROOT / "preprocess"), f"{path}: relative"
            module = full_name(path, node)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def house_imports(path, **options):
    """Modules of fer_jax and preprocess that a file imports."""
    for name in imports(path, **options):
        parts = name.split(".")
        if parts[0] in ("fer_jax", "preprocess"):
            names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
            yield next(name for name in names if name in MODULES)


def house_rooms(path):
    """Rooms of fer_jax that a file enters."""
    return {name.split(".")[1] for name in house_imports(path) if name.startswith("fer_jax.")}


@functools.cache
def opened_by_path(name, path):
    """Modules that a file opens when called: a table of paths, a folder of a task, `prepare`."""
    if name == "fer_jax.commands.prepare":
        return {"preprocess.__main__"}
    if path.name == "task.py":
        return {module_of(each) for each in path.parent.glob("*.py")} - {module_of(path.parent)}
    text = path.read_text()
    strings = [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "importlib" in text
    ]
    named = {f"{name}.{string}" for string in strings}  # the end may name a class or a function
    return (named | {each.rpartition(".")[0] for each in named}) & MODULES.keys()


def import_graph(when_called):
    """Modules that each module imports; `when_called`: also those of tables and their paths."""
    graph = {
        name: set(house_imports(path)) | (opened_by_path(name, path) if when_called else set())
        for name, path in MODULES.items()
        if when_called or name not in TABLES
    }
    return {name: found - {"fer_jax", "preprocess", name} for name, found in graph.items()}


def test_every_room_has_its_place():
    assert {room_of(path) for path in sources("fer_jax")} - {"__init__", "__main__"} == set(ROOMS)


@pytest.mark.parametrize("path", sources("fer_jax"), ids=module_of)
def test_imports_point_downwards(path):
    own = room_of(path)
    if own == "__init__" or path.name == "__main__.py":
        return  # public names reach up, when they are called; `python -m` calls a command
    above = [room for room in house_rooms(path) if ROOMS.index(room) < ROOMS.index(own)]
    assert not above, f"{module_of(path)} imports from above: {above}"


def test_no_module_imports_itself_over_others():
    graph, done = import_graph(when_called=True), set()

    def visit(name, trail):
        assert name not in trail, f"circle of imports: {' -> '.join([*trail, name])}"
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, [*trail, name])
        done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize(("when_called", "most"), [(False, CHAIN), (True, CHAIN_WHEN_CALLED)])
def test_import_chains_are_short(when_called, most):
    graph = import_graph(when_called)

    @functools.cache
    def longest(name):
        below = (longest(target) for target in graph.get(name, ()))
        return [name, *max(below, key=len, default=[])]

    # a file for `python -m` calls a command: one more, not counted
    chain = max((longest(n) for n in graph if not n.endswith("__main__")), key=len)
    assert len(chain) <= most, " -> ".join(chain)


def test_folders_and_files_are_small():
    paths = [*sources("fer_jax"), *sources("preprocess")]
    files = collections.Counter(str(path.parent.relative_to(ROOT)) for path in paths)
    full = {folder: count for folder, count in files.items() if count > FILES}
    assert set(full) <= MANY_FILES, full
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in paths}
    long = {path: count for path, count in lines.items() if count > LINES}
    assert not long


def test_networks_know_no_config_and_no_data():
    for path in [*sources("fer_jax/layers"), *sources("fer_jax/systems")]:
        if path.stem in TRAINED_OR_DRAWN or module_of(path) == "fer_jax.systems":
            continue
        assert house_rooms(path) <= {"layers", "systems"}, path
        names = {name.split(".")[-1] for name in house_imports(path)}
        assert not names & TRAINED_OR_DRAWN, path
        assert "ml_collections" not in path.read_text()


def test_only_parallel_says_pmap():
    files = [*sources("fer_jax"), *sources("preprocess"), *sources("configs"), ROOT / "run.py"]
    assert [path.name for path in files if "pmap" in path.read_text()] == ["parallel.py"]


@pytest.mark.parametrize("path", sources("fer_jax"), ids=lambda path: path.stem)
def test_core_needs_no_heavy_package(path):
    heads = {name.split(".")[0] for name in imports(path)}
    assert "preprocess" not in heads
    if path.name == "detector.py":  # which asks for dlib when a face is looked for
        heads = {name.split(".")[0] for name in imports(path, outermost_only=True)}
    assert not heads & HEAVY


def test_preprocess_uses_only_the_ground_of_the_house():
    for path in sources("preprocess"):
        assert house_rooms(path) <= {
            "faces", "synthetic", "progress", "machine", "stopping", "storage", "installation",
        }, path  # fmt: skip
    for path in [*sources("preprocess"), *sources("fer_jax/faces")]:
        heads = {name.split(".")[0] for name in imports(path)}
        assert not heads & {"torch", "tensorflow", "jax", "flax"}, path


def test_nothing_imports_the_commands():
    for folder in ("fer_jax", "preprocess"):
        for path in sources(folder):
            heads = {name.split(".")[0] for name in imports(path)}
            assert not heads & {"run", "configs", "benchmarks", "tests"}, path


@pytest.mark.parametrize(
    "path", [*sources("fer_jax"), *sources("preprocess")], ids=lambda path: path.stem
)
def test_every_file_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
