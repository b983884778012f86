"""What targets, defenses, attacks and data sets have in common: a name, a source, and checked options.

A plugin's module imports no torch at its top; torch enters inside the methods that compute. So listing, planning
and ``--help`` stay fast, and a plugin's declaration can be read on a machine without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict


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
        options: the validated options of this instance.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""

    class Options(PluginOptions):
        """No options."""

    options: Any

    def __init__(self, **options: Any) -> None:
        self.options = self.Options(**options)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """The instance that ``spec()`` describes; JSON has no tuples, so options are read as JSON."""
        given = {key: value for key, value in spec.items() if key != "name"}
        options = cls.Options.model_validate_json(json.dumps(given))
        return cls(**{key: getattr(options, key) for key in options.model_fields_set})

    def spec(self) -> dict[str, Any]:
        """Name and *all* options as JSON values: what identifies this instance."""
        return dict(self._spec)

    @cached_property
    def _spec(self) -> dict[str, Any]:
        return {"name": self.name, **self.options.model_dump(mode="json")}

    def label(self) -> str:
        """Name and the options that differ from their defaults, as shown in tables."""
        return self._label

    @cached_property
    def _label(self) -> str:
        changed = [
            f"{name}={_short(getattr(self.options, name))}"
            for name, field in type(self.options).model_fields.items()
            if getattr(self.options, name) != field.get_default(call_default_factory=True)
        ]
        return f"{self.name}({','.join(changed)})" if changed else self.name

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


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
