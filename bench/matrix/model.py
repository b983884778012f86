"""What a matrix file may hold, field by field.

Every field is classified: ``RESULT`` fields change a computed number of a cell and belong to the identity of
the steps that use them; ``RUNTIME`` fields only choose which cells there are, or what they are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
FILE_PATTERN = r"\.[A-Za-z][A-Za-z0-9]*$"  # so that a mistyped number is not taken for a file
CROSS: Literal["cross"] = "cross"  # the error type of what is wrong between fields

IndexFile = Annotated[str, Field(pattern=FILE_PATTERN)]
Some = Annotated[int, Field(gt=0)] | IndexFile
SomeOrNone = Annotated[int, Field(ge=0)] | IndexFile
Pixels = Annotated[int, Field(gt=0)]


def _size(value: Any) -> Any:
    """One message in place of a complaint for each alternative."""
    sides = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value,)
    if not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides):
        got = f"[{', '.join(map(str, value))}]" if isinstance(value, (list, tuple)) else repr(value)
        raise PydanticCustomError("size", "expected pixels a side, or [height, width], got {got}", {"got": got})
    return tuple(value) if isinstance(value, list) else value


Size = Annotated[Pixels | tuple[Pixels, Pixels], BeforeValidator(_size)]


class Strict(BaseModel):
    """Base of the matrix's models: frozen, strict, and nothing beside the declared fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    RESULT: ClassVar[frozenset[str]] = frozenset()
    RUNTIME: ClassVar[frozenset[str]] = frozenset()


class SplitOptions(Strict):
    """Which of a data set's records are used, how they are prepared, and how they are split.

    For a role, a number is how many records are drawn; a text is the path of a file that lists or holds them. Roles
    that are not given share what the others leave, 1 : 2 : 3 : 1 : 3 in the order below.
    """

    # What makes the records another data set than the one of that name; the rest only draws from it.
    RECORDS: ClassVar[tuple[str, ...]] = ("crop", "resize", "grey", "top_classes", "fraction", "canaries")
    RESULT = frozenset(
        {"members", "nonmembers", "reference", "validation", "holdout", "split_seed", "membership"}
        | {"always", "canaries"}
        | {"crop", "resize", "grey", "top_classes", "fraction"}
    )

    members: Some | None = None
    """Records that the target is trained on."""
    nonmembers: Some | None = None
    """Records that the target never sees, against which members must be told apart."""
    reference: SomeOrNone | None = None
    """Records of the same distribution that an attacker may own."""
    validation: SomeOrNone | None = None
    """Records that the defender may own."""
    holdout: Some | None = None
    """Records kept for sample quality only."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the draw, which all trials of the data set share."""
    membership: Literal["fixed", "coin"] = "fixed"
    """``fixed``: the numbers above; ``coin``: each candidate joins by a fair coin, for an audit."""
    always: SomeOrNone = 0
    """Records that are trained on whatever the coins say and never judged; only with ``membership: coin``."""
    canaries: Literal["none", "mislabelled", "blank"] = "none"
    """What members and non-members become, for an audit by coins: another class's label, or a marked blank image."""
    crop: Pixels | None = None
    """Cut every image, of whichever role or file, to its centre: so many pixels a side, before any resize."""
    resize: Size | None = None
    """Scale every image, of whichever role or file, to so many pixels a side, or to [height, width]."""
    grey: bool = False
    """Turn every image, of whichever role or file, to one grey channel."""
    top_classes: Annotated[int, Field(gt=0)] | None = None
    """Keep only the records of the so many most frequent classes of the data set, counted before any ``fraction``."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Keep a random fraction of the data set's records; index files still count through all of them."""


class PluginEntry(Strict):
    """A plugin's name, or a mapping with its name and its options."""

    model_config = ConfigDict(extra="allow")

    RESULT = frozenset({"name"})

    name: Annotated[str, Field(min_length=1)]
    """The plugin's name, or ``./file.py:Class``."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, (Mapping, cls)):
            raise PydanticCustomError("entry", "expected a name, or a mapping with a name and options")
        return value

    @property
    def options(self) -> dict[str, Any]:
        """Everything beside the name, not yet checked by the plugin."""
        return dict(self.model_extra or {})


class Exclusion(Strict):
    """Combinations to leave out: those that match every key that is given.

    A value matches by the plugin's name or by its full label, such as ``dropout`` or ``dropout(rate=0.3)``; a
    stack's name and label join those of its parts with ``+``.
    """

    RUNTIME = frozenset({"dataset", "target", "defense", "attack", "seed"})

    dataset: str | None = None
    """Name or label of a data set."""
    target: str | None = None
    """Name or label of a target."""
    defense: str | None = None
    """Name or label of a defense or a stack."""
    attack: str | None = None
    """Name or label of an attack; without one, the whole trial is left out."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """A seed."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.given():
            raise PydanticCustomError("empty", "expected at least one of dataset, target, defense, attack, seed")
        return self

    def given(self) -> dict[str, str | int]:
        """The keys that this exclusion restricts."""
        return {key: value for key, value in self if value is not None}


class Quality(Strict):
    """With how many records, and by which features, sample quality is measured."""

    RESULT = frozenset({"records", "extractor", "snapshot_records", "snapshot_extractor"})

    records: Annotated[int, Field(ge=50)] = 1500
    """Records on each side of a comparison."""
    extractor: Annotated[str, Field(min_length=1)] = "efficientnet_lite0-96"
    """Feature extractor and its input size in pixels, part of the metrics' names."""
    snapshot_records: Annotated[int, Field(ge=100)] = 500
    """Records on each side for the snapshots taken during training; a training keeps them, so a change trains anew."""
    snapshot_extractor: Annotated[str, Field(min_length=1)] = "efficientnet_lite0-64"
    """Feature extractor for the snapshots."""


def _stack(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _sizes(value: Any) -> Any:
    """One size or several; each once."""
    return _distinct(value if isinstance(value, (list, tuple)) else (value,))


def _distinct(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        twice = sorted({v for v in value if isinstance(v, int) and value.count(v) > 1})
        if twice:
            again = ", ".join(map(str, twice))
            raise PydanticCustomError("distinct", "expected each number once, got {again} again", {"again": again})
    return tuple(value) if isinstance(value, list) else value


Stack = Annotated[tuple[PluginEntry, ...], BeforeValidator(_stack), Field(min_length=1)]
Seed = Annotated[int, Field(ge=0)]
SetSize = Annotated[int, Field(ge=2)]
SetSizes = Annotated[
    tuple[SetSize, ...],
    BeforeValidator(_sizes, json_schema_input_type=SetSize | list[SetSize]),
    Field(min_length=1),
]


class Matrix(Strict):
    """What is crossed with what, as written in the file."""

    RESULT = frozenset(
        {"dataset", "datasets", "targets", "defenses", "attacks", "seeds"}
        | {"samples", "quality", "sets", "resamples", "device", "precision"}
    )
    RUNTIME = frozenset({"name", "description", "exclude", "controls", "equal_kid"})

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Names the folder of the results."""
    description: str = ""
    """What the matrix is for, shown on the board."""
    dataset: PluginEntry | None = None
    """The data set and its split; or give ``datasets``."""
    datasets: Annotated[tuple[PluginEntry, ...], Field(min_length=1)] | None = None
    """Several data sets, each with its split."""
    targets: Annotated[tuple[PluginEntry, ...], Field(min_length=1)]
    """The generative models under test."""
    defenses: Annotated[tuple[Stack, ...], Field(min_length=1)]
    """The defenses under test; a list within the list is a stack, applied in this order."""
    attacks: Annotated[tuple[PluginEntry, ...], Field(min_length=1)]
    """The attacks that measure them."""
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_distinct), Field(min_length=1)] = (0,)
    """One training run per seed."""
    exclude: tuple[Exclusion, ...] = ()
    """Combinations to leave out."""
    controls: bool = True
    """Whether to add the attacks that measure the instrument itself."""
    equal_kid: bool = True
    """Whether snapshots of undefended image models are attacked too, to read each defense at equal sample quality."""
    samples: Annotated[int, Field(gt=0)] = 10000
    """Generated records per trial, shared by every attack and metric that reads samples."""
    quality: Quality = Quality()
    """How sample quality is measured."""
    sets: SetSizes = (10,)
    """Records per set where the membership of whole sets is judged; several sizes are a list, the first one heads."""
    resamples: Annotated[int, Field(ge=40)] = 1000
    """Bootstrap resamples behind an interval; fewer than 40 have no 2.5 % tail."""
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    """Kind of device to compute on."""
    precision: Literal["float32", "bf16"] = "float32"
    """Precision of the targets' training."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for _, message in cross_problems(self.model_dump()):
            raise PydanticCustomError(CROSS, "{message}", {"message": message})
        return self

    @property
    def all_datasets(self) -> tuple[PluginEntry, ...]:
        """The data sets, whichever way they were given."""
        return self.datasets or ((self.dataset,) if self.dataset else ())


def cross_problems(given: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """What is wrong between a matrix's fields, as (fields, message); wrong types are passed over."""
    found: list[tuple[tuple[str, ...], str]] = []
    count = sum(given.get(key) is not None for key in ("dataset", "datasets"))
    if count != 1:
        got = "both" if count else "neither"
        found.append((("datasets", "dataset"), f"expected either 'dataset' or 'datasets', got {got}"))
    samples = given.get("samples", Matrix.model_fields["samples"].default)
    quality = given.get("quality", {})
    default = Quality.model_fields["records"].default
    records = quality.get("records", default) if isinstance(quality, Mapping) else None
    if isinstance(records, int) and isinstance(samples, int) and 0 < samples < records:
        found.append(
            (
                ("quality", "samples"),
                f"expected at most as many quality records as samples ({samples}), got {records}",
            )
        )
    return found
