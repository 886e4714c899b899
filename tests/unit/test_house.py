"""The rules of the house: imports point downwards, one file knows pmap, the core stays light."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# From the ground up; a file may use files of its own floor and of those below.
FLOORS = [
    {"__init__", "labels", "landmarks", "framing", "metrics", "pen", "published", "emotion_words",
     "origins"},
    {"data", "loading", "selection", "extract", "augment", "crops", "models", "tasks",
     "synthetic", "synthetic_databases", "face_model", "face_motion", "drawing", "picture",
     "render", "databases"},
    {"parallel", "pretrained", "warm_start", "optimizers", "programs", "train", "uncertainty",
     "assess", "checkpoint", "predictor", "protocols", "progressive"},
    {"experiment", "setup", "checks", "workdir", "resume", "report", "scores", "plots",
     "method_plots", "method_tables", "predict", "sources", "windows", "outputs",
     "frame_maps", "frame_plots", "timeline", "annotate", "demo", "search", "search_report",
     "compare", "epoch_log", "class_report", "unit_scores", "unit_report", "unit_plots",
     "answers", "panel", "unit_panel", "unit_timeline", "database_report", "filter_maps",
     "dimension_scores", "dimension_plots", "dimension_report", "dimension_panel",
     "dimension_timeline", "face_maps", "face_plots"},
]  # fmt: skip
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}
HEAVY = {"torch", "tensorflow", "dlib"}


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def part_of(path):
    """Name of a module of fer_jax; all of models/ is one."""
    return path.relative_to(ROOT / "fer_jax").with_suffix("").parts[0]


def imports(path, outermost_only=False):
    """Full names of everything a file imports, also inside functions."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if outermost_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def house_imports(path, **options):
    """Names of the modules of fer_jax that a file imports."""
    for name in imports(path, **options):
        head, _, rest = name.partition(".")
        if head == "fer_jax":
            target = rest.split(".")[0]
            yield target if target in FLOOR_OF else "__init__"


@pytest.mark.parametrize("path", sources("fer_jax"), ids=lambda path: path.stem)
def test_imports_point_downwards(path):
    own = part_of(path)
    assert own in FLOOR_OF, f"{path.name} has no floor yet: add it to FLOORS"
    if own == "__init__":
        return  # load_model reaches up, when it is called
    for target in house_imports(path):
        assert FLOOR_OF[target] <= FLOOR_OF[own], f"{path.name} imports {target} from above"


def test_no_module_imports_itself_over_others():
    graph = {}
    for path in sources("fer_jax"):
        targets = set(house_imports(path, outermost_only=True))
        graph.setdefault(part_of(path), set()).update(targets - {"__init__", part_of(path)})

    def visit(name, trail):
        assert name not in trail, f"circle of imports: {' -> '.join([*trail, name])}"
        for target in graph.get(name, ()):
            visit(target, [*trail, name])

    for name in graph:
        visit(name, [])


def test_every_listed_module_exists():
    assert {part_of(path) for path in sources("fer_jax")} == set(FLOOR_OF)


def test_models_know_no_config_and_no_data():
    for path in sources("fer_jax/models"):
        assert set(house_imports(path)) <= {"models"}, path
        assert "ml_collections" not in path.read_text()


def test_only_parallel_says_pmap():
    files = [*sources("fer_jax"), *sources("preprocess"), *sources("configs"), ROOT / "run.py"]
    assert [path.name for path in files if "pmap" in path.read_text()] == ["parallel.py"]


@pytest.mark.parametrize("path", sources("fer_jax"), ids=lambda path: path.stem)
def test_the_core_needs_no_heavy_package(path):
    heads = {name.split(".")[0] for name in imports(path)}
    assert not heads & HEAVY
    if path.name != "sources.py":
        assert "preprocess" not in heads
    else:
        outermost = {name.split(".")[0] for name in imports(path, outermost_only=True)}
        assert "preprocess" not in outermost


def test_preprocess_uses_only_the_ground_of_the_house():
    allowed = {"labels", "landmarks", "framing", "synthetic"}
    for path in sources("preprocess"):
        assert set(house_imports(path)) <= allowed, path
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
