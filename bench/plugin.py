"""What targets, defenses, attacks and data sets have in common: a name, a source, and checked options.

A plugin's module imports no torch at its top; torch enters inside the methods that compute. So listing, planning
and ``--help`` stay fast, and a plugin's declaration can be read on a machine without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import InputError


class PluginOptions(BaseModel):
    """Base of every plugin's options: frozen, strict, and nothing beside the declared fields.

    Every field of every plugin's options changes results and is part of the identity of the steps that use it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Plugin:
    """Base class of targets, defenses, attacks and data sets.

    Attributes:
        name: how a matrix names it; snake_case.
        paper: where the method comes from (authors, venue, year, section), or "" for the suite's own.
        presets: name -> options that go together; a matrix asks for one by ``preset``, options beside it win.
        files: the options that name a file or folder, relative to the matrix, whose content decides the result.
        options: the validated options of this instance.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    files: ClassVar[tuple[str, ...]] = ()

    class Options(PluginOptions):
        """No options."""

    options: Any

    def __init__(self, **options: Any) -> None:
        self.options = self.Options(**options)
        self.base_dir = Path()

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """The instance that ``spec()`` describes; JSON has no tuples, so options are read as JSON."""
        given = {key: value for key, value in spec.items() if key != "name"}
        options = cls.Options.model_validate_json(json.dumps(given))
        return cls(**{key: getattr(options, key) for key in options.model_fields_set})

    def at(self, base_dir: Path) -> Self:
        """The same plugin, whose files are relative to this folder; where files lie is not part of its identity."""
        located = copy(self)
        located.base_dir = base_dir
        return located

    def path(self, option: str) -> Path:
        """The file or folder that one of the options in ``files`` names.

        Raises:
            InputError: there is none.
        """
        path = self.base_dir / str(getattr(self.options, option))
        if not path.exists():
            raise InputError(f"{self.name}: expected a file or folder as {option!r}, but there is no {path}")
        return path

    def parts(self) -> tuple[Plugin, ...]:
        """Plugins of the same kind that this one is made of, whose source counts as its own."""
        return ()

    def spec(self) -> dict[str, Any]:
        """Name and *all* options as JSON values: what identifies this instance."""
        return dict(self._spec)

    @cached_property
    def _spec(self) -> dict[str, Any]:
        return {"name": self.name, **self.options.model_dump(mode="json")}

    def short_spec(self) -> dict[str, Any]:
        """Name and the options that differ from their defaults, as JSON values: equal plugins have equal ones."""
        values = self.options.model_dump(mode="json")
        return {"name": self.name, **{name: values[name] for name in self._changed()}}

    def _changed(self) -> list[str]:
        """The options that differ from their defaults."""
        values = dict(self.options)
        return [
            name
            for name, field in type(self.options).model_fields.items()
            if values[name] != field.get_default(call_default_factory=True)
        ]

    def label(self) -> str:
        """Name and the options that differ from their defaults, as shown in tables."""
        return self._label

    @cached_property
    def _label(self) -> str:
        values = dict(self.options)
        changed = set(self._changed())
        shown = [f"{name}={_short(value)}" for name, value in values.items() if name in changed]
        for preset, settings in self.presets.items():
            differing = {name for name, value in settings.items() if values[name] != value}
            rest = (changed - set(settings)) | differing
            if len(rest) + 1 < len(shown) or (not rest and shown):
                shown = [f"preset={preset}", *(f"{n}={_short(value)}" for n, value in values.items() if n in rest)]
        return f"{self.name}({','.join(shown)})" if shown else self.name

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.options)
        return f"{type(self).__name__}({options})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Plugin) and other.options == self.options

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().split("\n", 1)[0]


P = TypeVar("P", bound=Plugin)


def inner_plugin(where: str, cls: type[P], given: Mapping[str, Any]) -> P:
    """The plugin that an option of another one describes: its options, of which ``preset`` may be one.

    Args:
        where: what to call the option in a message.
        cls: the class that was named.
        given: its options, and maybe its name.

    Raises:
        InputError: an option or the preset is wrong.
    """
    options = {key: value for key, value in given.items() if key not in ("name", "preset")}
    if (preset := given.get("preset")) is not None:
        if not isinstance(preset, str) or preset not in cls.presets:
            known = ", ".join(cls.presets) or "it has none"
            raise InputError(f"{where} {cls.name!r}: expected one of its presets ({known}), got {preset!r}")
        options = {**cls.presets[preset], **options}
    try:
        return cls.from_spec(options)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or cls.name}: {e['msg']}" for e in error.errors()]
        raise InputError([f"{where} {cls.name!r}: {problem}" for problem in problems]) from error


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:  # a plugin within a plugin
        rest = ",".join(f"{key}={_short(each)}" for key, each in value.items() if key != "name")
        return f"{value['name']}({rest})" if rest else str(value["name"])
    return f"{value:g}" if isinstance(value, float) else str(value)
