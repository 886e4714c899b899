"""The rules of the house: imports point downwards, one file knows pmap, the core stays light."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# From the ground up; a file may use files of its own floor and of those below.
FLOORS = [
    {"__init__", "data.how_to_prepare", "faces.crop", "faces.detector", "faces.emotion_ratings",
     "faces.framing", "faces.labels", "faces.landmarks", "faces.openface", "faces.sequence",
     "faces.tracker", "faces.video", "metrics", "synthetic.canvas", "tasks.published"},
    {"data.augment", "data.clips", "data.crops", "data.cross_database", "data.frame_selection",
     "data.load", "data.model_inputs", "layers.backbones", "layers.common", "layers.conv2d",
     "layers.conv3d", "layers.cpu_im2col", "layers.cpu_tiles", "layers.cpu_winograd",
     "layers.lstm", "synthetic.camera", "synthetic.clips", "synthetic.databases",
     "synthetic.draw_face", "synthetic.face_model", "synthetic.motion", "synthetic.render",
     "systems", "systems.bilinear_cnn.network", "systems.bilinear_cnn.pooling",
     "systems.fer_gcn.network", "systems.graph_baselines.agcn", "systems.graph_baselines.dgnn",
     "systems.graph_baselines.st_gcn", "systems.inception_resnet_3d.landmark_filters",
     "systems.inception_resnet_3d.network", "systems.st_bln.network",
     "systems.stc_nlstm.densenet", "systems.stc_nlstm.network", "tasks.base"},
    {"data.folds", "predict.predictor", "systems.st_bln.growth", "training.checkpoint",
     "training.evaluate", "training.initial_weights", "training.loop", "training.optimizer",
     "training.parallel", "training.program", "training.warm_start", "uncertainty"},
    {"compare.__main__", "compare.compare", "compare.figure", "compare.tables",
     "experiments.report", "experiments.run", "experiments.setup", "experiments.validate",
     "experiments.workdir", "plotting.frame_plots", "plotting.images", "plotting.panel",
     "plotting.style", "plotting.timeline", "predict", "predict.__main__", "predict.annotate",
     "predict.api", "predict.sources", "predict.tables", "predict.windows", "synthetic.demo",
     "systems.bilinear_cnn.figures", "systems.fer_gcn.figures",
     "systems.inception_resnet_3d.figures", "systems.st_bln.search",
     "systems.st_bln.search_report", "tasks.action_units.figures", "tasks.action_units.panel",
     "tasks.action_units.report", "tasks.action_units.scores", "tasks.action_units.timeline",
     "tasks.answers", "tasks.classification.database_report", "tasks.classification.report",
     "tasks.dimensions.figures", "tasks.dimensions.panel", "tasks.dimensions.report",
     "tasks.dimensions.scores", "tasks.dimensions.timeline", "tasks.evaluation",
     "training.epoch_log", "training.resume"},
]  # fmt: skip
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}
HEAVY = {"torch", "tensorflow", "dlib"}
# Of a system, what is no network: it may know data and configs.
TRAINED_OR_DRAWN = {"growth", "search", "search_report", "figures"}


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def part_of(path):
    """Dotted name of a module of fer_jax; a package has that of its folder."""
    parts = path.relative_to(ROOT / "fer_jax").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def modules():
    """Files of fer_jax with code: an `__init__` that is only a docstring has no floor."""
    return [path for path in sources("fer_jax") if len(ast.parse(path.read_text()).body) > 1]


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
            parts = rest.split(".")
            names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
            yield next((name for name in names if name in FLOOR_OF), "__init__")


@pytest.mark.parametrize("path", modules(), ids=part_of)
def test_imports_point_downwards(path):
    own = part_of(path)
    assert own in FLOOR_OF, f"{path.name} has no floor yet: add it to FLOORS"
    if own == "__init__":
        return  # load_model reaches up, when it is called
    for target in house_imports(path):
        assert FLOOR_OF[target] <= FLOOR_OF[own], f"{path.name} imports {target} from above"


def test_no_module_imports_itself_over_others():
    graph = {}
    for path in modules():
        targets = set(house_imports(path, outermost_only=True))
        graph.setdefault(part_of(path), set()).update(targets - {"__init__", part_of(path)})

    def visit(name, trail):
        assert name not in trail, f"circle of imports: {' -> '.join([*trail, name])}"
        for target in graph.get(name, ()):
            visit(target, [*trail, name])

    for name in graph:
        visit(name, [])


def test_every_listed_module_exists():
    assert {part_of(path) for path in modules()} == set(FLOOR_OF)


def test_networks_know_no_config_and_no_data():
    for path in [*sources("fer_jax/layers"), *sources("fer_jax/systems")]:
        if path.stem in TRAINED_OR_DRAWN:
            continue
        names = [name.split(".") for name in house_imports(path)]
        assert {name[0] for name in names} <= {"layers", "systems"}, path
        assert not {name[-1] for name in names} & TRAINED_OR_DRAWN, path
        assert "ml_collections" not in path.read_text()


def test_only_parallel_says_pmap():
    files = [*sources("fer_jax"), *sources("preprocess"), *sources("configs"), ROOT / "run.py"]
    assert [path.name for path in files if "pmap" in path.read_text()] == ["parallel.py"]


@pytest.mark.parametrize("path", sources("fer_jax"), ids=lambda path: path.stem)
def test_the_core_needs_no_heavy_package(path):
    heads = {name.split(".")[0] for name in imports(path)}
    assert "preprocess" not in heads
    if path.name == "detector.py":  # which asks for dlib when a face is looked for
        heads = {name.split(".")[0] for name in imports(path, outermost_only=True)}
    assert not heads & HEAVY


def test_preprocess_uses_only_the_ground_of_the_house():
    for path in sources("preprocess"):
        rooms = {name.split(".")[0] for name in house_imports(path)}
        assert rooms <= {"faces", "synthetic"}, path
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
