"""The schemas of the JSON files of a bundle and a work directory, and how such files are read."""

from __future__ import annotations

import json
import os
import unicodedata
from typing import Annotated, Any, Literal

import pydantic
from etils import epath

from fer_jax import storage
from fer_jax.faces.labels import NO_FACE, columns_among
from fer_jax.machine import FileError, printable

MAX_JSON_BYTES = 2**24
MOST_MEMBERS = 100  # of an ensemble
_MAX_NUMBER, _MAX_ITEMS, _MAX_DEPTH = 2**16, 4096, 8  # of the fields of a network


def _one_line(text: str) -> str:
    if not text.strip() or printable(text) != text:
        raise ValueError(f"the name {printable(text)!r} is empty or holds control characters")
    return text


def _plain(value, depth: int = 0):
    """Refuses fields of a network whose numbers no network has."""
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)) and not abs(value) <= _MAX_NUMBER:
        raise ValueError(f"{value!r:.40} is no number of a network")
    if isinstance(value, (list, dict)):
        if len(value) > _MAX_ITEMS:
            raise ValueError(f"it has {len(value)} items")
        for each in value.values() if isinstance(value, dict) else value:
            _plain(each, depth + 1)
    return value


Name = Annotated[
    str, pydantic.StringConstraints(max_length=200), pydantic.AfterValidator(_one_line)
]
Number = Annotated[float, pydantic.Field(ge=-1e9, le=1e9)]
Node = Annotated[int, pydantic.Field(ge=0, lt=51)]  # the inner points of the 68
Point = Annotated[list[Number], pydantic.Field(min_length=2, max_length=2)]


class _Fields(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


class GraphFields(_Fields):
    """The landmark graph of a bundle: nodes are the 51 inner points of the 68."""

    mode: Literal["clean", "reference"]
    edges: Annotated[
        list[Annotated[list[Node], pydantic.Field(min_length=2, max_length=2)]],
        pydantic.Field(min_length=1, max_length=_MAX_ITEMS),
    ]
    reference_shape: Annotated[list[Point], pydantic.Field(min_length=51, max_length=51)]

    @pydantic.model_validator(mode="after")
    def _has_ends(self):
        if self.mode == "clean" and any(start == end for start, end in self.edges):
            raise ValueError("an edge ends where it begins")
        return self


class FramingFields(_Fields):
    """How faces lie in the crops of a bundle."""

    eye_distances: Annotated[float, pydantic.Field(gt=0, le=100)] = 2.5
    height: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.5
    kind: Literal["aligned", "eyes", "box"] = "aligned"
    width: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0


Task = Literal["classification", "action_units", "dimensional", "distribution"]
Posterior = Literal["mc_dropout", "swa", "swag", "laplace"]
Limit = Annotated[float, pydantic.Field(ge=-1e-6)]  # of an uncertainty, 0 but for rounding
Side = Annotated[int, pydantic.Field(ge=0, le=4096)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Count = Annotated[int, pydantic.Field(ge=0, le=10**9)]
Digest = Annotated[str, pydantic.StringConstraints(pattern="^[0-9a-f]{64}$")]


class PromiseFields(_Fields):
    """What a bundle promises of a threshold, see `uncertainty.selective.Promise`."""

    threshold: Limit | None
    target: Share
    confidence: Share
    accuracy: Share | None
    coverage: Share
    bound: Share | None
    people: Count
    clips: Count

    @pydantic.model_validator(mode="after")
    def _agree(self):
        if (self.threshold is None) != (self.bound is None) or self.people > self.clips:
            raise ValueError("a promise has a threshold and a bound, and no more people than clips")
        if self.bound is not None and not (
            self.accuracy is not None and self.bound <= self.accuracy + 1e-6 and self.coverage > 0
        ):
            raise ValueError("the bound of a promise is one of the accuracy of answered clips")
        return self


Promises = Annotated[list[PromiseFields], pydantic.Field(max_length=_MAX_ITEMS)]


class BundleFields(_Fields):
    """`model.json` of a bundle; fields with a default are missing in older bundles."""

    bundle_version: Annotated[int, pydantic.Field(ge=1)]
    name: Name
    task: Task = "classification"
    members: Annotated[int, pydantic.Field(ge=1, le=MOST_MEMBERS)] = 1
    posterior: Posterior = "mc_dropout"
    familiarity: bool = False
    turns: bool = False
    model: Annotated[dict[str, Any], pydantic.AfterValidator(_plain)]
    classes: Annotated[list[Name], pydantic.Field(min_length=1, max_length=_MAX_ITEMS)]
    frames: Annotated[int, pydantic.Field(ge=1, le=4096)]
    frame_rule: Literal[
        "ends",
        "uniform",
        "middles",
        "padded",
        "tile_reference",
        "last",
        "windows",
        "pieces",
        "apex_pieces",
    ]
    features: Literal["position", "motion", "normalised_motion"]
    graph: GraphFields
    window_seconds: Annotated[float, pydantic.Field(ge=1e-3, le=86_400)]
    frames_per_second: Annotated[float, pydantic.Field(ge=0, le=10_000)] = 0.0
    crop_size: Side = 0
    prepared_size: Side = 0
    framing: FramingFields = FramingFields()
    threshold: Limit | list[Limit | None] | None
    # read by `stored_trust`
    calibration: dict[str, Any] | None = None
    sets: dict[str, Any] | list[Any] | None = None
    promise: PromiseFields | Promises | None = None
    metrics: dict[str, Any] = {}
    dataset: dict[str, Any] = {}
    config: dict[str, Any] = {}
    sha256: dict[str, Digest] | None = None

    @pydantic.model_validator(mode="after")
    def _agree(self):
        self._check_names()
        if (self.members > 1 or self.familiarity) and self.bundle_version < 2:
            raise ValueError("bundles of version 1 have a single network and no familiarity")
        if self.turns and (self.bundle_version < 4 or not self.familiarity):
            raise ValueError("turns of the head are of bundles of version 4 that have familiarity")
        trust = (self.calibration, self.sets, self.promise)
        newer = self.posterior != "mc_dropout" or any(each is not None for each in trust)
        if self.bundle_version < 3 and newer:
            raise ValueError(
                "bundles before version 3 have MC dropout, no calibration, sets and promise"
            )
        if self.config.get("task", self.task) != self.task:
            raise ValueError(f"task is {self.task}, but it was trained for another")
        units = self.task == "action_units"
        if isinstance(self.threshold, list) and not (
            units and len(self.threshold) == len(self.classes)
        ):
            raise ValueError("threshold is a list, but not of one number an action unit")
        if isinstance(self.threshold, float) and units:
            raise ValueError("threshold is one number, but each action unit has its own")
        if self.crop_size > self.prepared_size:
            raise ValueError("crop_size is larger than prepared_size")
        if not isinstance(self.model.get("name"), str):
            raise ValueError("model has no name")
        if self.dataset.get("scaled") not in (None, True, False):
            raise ValueError("dataset.scaled is neither true nor false")
        self._check_intervals()
        return self

    def _check_names(self) -> None:
        seen = {unicodedata.normalize("NFKC", name).strip() for name in self.classes}
        if len(seen) < len(self.classes):
            raise ValueError("two classes have the same name")
        taken = columns_among(self.classes)
        for name in self.classes:
            if name in taken or name.casefold() == NO_FACE:
                raise ValueError(
                    f"a class cannot be called {name!r}, as the table of predictions uses it"
                )

    def _check_intervals(self) -> None:
        intervals = self.metrics.get("intervals")
        if self.task != "dimensional" or intervals is None:
            return
        variance = intervals.get("residual_variance") if isinstance(intervals, dict) else None
        numbers = isinstance(variance, list) and all(
            isinstance(each, (int, float)) and 0 <= each < 1e9 for each in variance
        )
        if not numbers or len(variance) != len(self.classes):
            raise ValueError("metrics.intervals.residual_variance is not one number a dimension")


class ConfigFields(_Fields):
    """`config.json` of a work directory: the sections of a config, and a hash of the data."""

    model_config = pydantic.ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)

    name: str
    task: str
    data: dict[str, Any]
    model: dict[str, Any]
    train: dict[str, Any]
    optimizer: dict[str, Any]
    protocol: dict[str, Any]
    evaluation: dict[str, Any]
    data_fingerprint: str


Widths = list[Annotated[int, pydantic.Field(ge=1, le=_MAX_NUMBER)]]
Positive = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class StageFields(_Fields):
    """A line of `search.jsonl`: a stage of a search."""

    model_config = pydantic.ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)

    fold: str
    stage: Annotated[int, pydantic.Field(ge=1)]
    topology: Annotated[Widths, pydantic.Field(min_length=1)]
    parent: Widths
    kept: Widths
    loss: Positive
    decision: str
    params_total: int
    params_without_U: int
    seconds: Positive
    compile_seconds: Positive


def check(schema: type[_Fields], content) -> _Fields:
    """Checks parsed JSON.

    Raises:
      ValueError: one line that names the first wrong fields.
    """
    try:
        return schema.model_validate(content)
    except pydantic.ValidationError as error:
        faults = []
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            # of a union, pydantic names the kind that it tried
            where = ".".join(part for part in map(str, fault["loc"]) if "[" not in part)
            faults.append(f"{where}: {fault['msg']}" if where else fault["msg"])
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ValueError(printable("; ".join(faults[:3])[:500] + more)) from None


def read_json(file) -> Any:
    """Reads a JSON file, also a remote one.

    Raises:
      FileNotFoundError, FileError: it is missing, no file, too large or cannot be read.
      ValueError: it is no JSON.
    """
    try:
        return json.loads(read_bytes(file, MAX_JSON_BYTES), object_pairs_hook=_without_doubles)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict:
    """Makes an object of JSON; of a name that is there twice, readers take one or the other."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {printable(double)[:100]!r} is there twice")
    return found


def read_bytes(file, limit: int) -> bytes:
    """Reads a regular file of at most `limit` bytes.

    Raises:
      FileNotFoundError: there is none.
      FileError: it is a pipe, a device or a folder, it is larger, or it cannot be read.
    """
    file = epath.Path(file)
    try:
        if "://" in os.fspath(file):
            return file.read_bytes()
        with storage.open_regular(file) as stream:
            if (size := os.fstat(stream.fileno()).st_size) > limit:
                raise FileError(
                    f"{file} has {size:,} bytes, more than the {limit:,} of such a file"
                )
            return stream.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error.strerror or error}") from error
