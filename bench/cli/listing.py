"""``bench list``: what can be named in a matrix."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from bench.errors import InputError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from bench.attacks.base import Attack
    from bench.plugin import Plugin
    from bench.registry import Kind

KINDS: tuple[Kind, ...] = ("targets", "defenses", "attacks", "datasets")
WIDEST = 120  # columns, also of wider terminals: longer lines are hard to read
LIMITS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def list_plugins(
    what: Annotated[str, typer.Argument(help="targets, defenses, attacks, datasets, or all.")] = "all",
) -> None:
    """List targets, defenses, attacks and data sets with their sources and options, from the code itself.

    Examples:

      bench list

      bench list attacks
    """
    from bench.registry import did_you_mean, get, names

    if what != "all" and what not in KINDS:
        raise InputError(f"expected one of {', '.join(KINDS)} or all, got {what!r}{did_you_mean(what, KINDS)}")
    width = min(WIDEST, shutil.get_terminal_size().columns)
    for kind in KINDS:
        if what not in ("all", kind):
            continue
        print(f"{kind}:")
        for name in names(kind):
            for line in described(kind, get(kind, name), width):
                print(line)
        print()


def described(kind: Kind, plugin: type[Plugin], width: int) -> Iterator[str]:
    """What the code says of a plugin, in lines of at most ``width`` columns where words allow it."""

    def lines(text: str, first: str, rest: str) -> list[str]:
        return textwrap.wrap(
            text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )

    name = "  " + plugin.name + ": "
    yield from lines(plugin.summary(), name, " " * 6) or [name]
    facts = _attack_facts(plugin) if kind == "attacks" else _facts(plugin)  # type: ignore[arg-type]
    yield from lines("; ".join(f"{title}: {value}" for title, value in facts), " " * 6, " " * 8)
    yield from lines(plugin.paper, " " * 6, " " * 8)
    for preset, settings in plugin.presets.items():
        shown = ", ".join(f"{key}={value}" for key, value in settings.items())
        yield from lines(f"preset {preset}: {shown}", " " * 6, " " * 8)
    for option, field in plugin.Options.model_fields.items():
        yield from lines(f"- {option}: {_option(field)}", " " * 6, " " * 10)


def _facts(plugin: type[Plugin]) -> list[tuple[str, str]]:
    declared = (
        ("works on", "data"), ("cost", "cost"), ("family", "family"), ("networks", "roles"),
        ("reads real records", "private_roles"), ("adaptive attacks", "adaptive"),
    )  # fmt: skip
    return [(title, _plain(value)) for title, attribute in declared if (value := getattr(plugin, attribute, None))]


def _attack_facts(plugin: type[Attack]) -> list[tuple[str, str]]:
    """With default options, where all have one: what an attack touches and knows may depend on them."""
    from bench.attacks._statistic import StatisticAttack

    required = any(field.is_required() for field in plugin.Options.model_fields.values())
    attack: Attack | type[Attack] = plugin if required else plugin()
    # A wrapper knows what it declares, but for one that needs nothing itself.
    wraps = issubclass(plugin, StatisticAttack)
    theirs = {"access", "works on", *(["knowledge"] if plugin.knowledge == "nothing" else [])} if wraps else set()
    facts = {
        "access": getattr(attack, "access", ""),  # a wrapper has one only around its statistic
        "knowledge": attack.knowledge,
        "works on": _records(attack),
        "cost": attack.cost,
        "judges": f"at most {attack.cap} candidates" if attack.cap else "",
        "sets": "judged by a score of their own" if plugin.scores_sets else "",
        "control": "measures the instrument, never a headline" if plugin.control else "",
        "tuned on labels": "yes" if plugin.tuned_on_labels else "",
    }
    inner = f" ({attack.statistic.name}: %s)" if isinstance(attack, StatisticAttack) else ""
    for title in theirs:
        facts[title] = "that of its statistic" + inner.replace("%s", facts[title])
    return [(title, value) for title, value in facts.items() if value]


def _records(attack: Attack | type[Attack]) -> str:
    """The kinds of records, and the networks that the target must have."""
    needs = f", of targets with {_plain(attack.needs_roles)}" if attack.needs_roles else ""
    return f"{' and '.join(sorted(attack.data))} records{needs}"


def _option(field: FieldInfo) -> str:
    """Type, range, default and description of an option."""
    default = "required" if field.is_required() else f"= {_written(field.get_default(call_default_factory=True))}"
    said = " ".join((field.description or "").split())
    return f"{_type(field.annotation)}{_range(field.metadata)} {default}. {said}".strip()


def _written(value: Any) -> str:
    """A value as a matrix may hold it: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _type(annotation: Any) -> str:
    """A type as a person writes its values."""
    inner, origin = get_args(annotation), get_origin(annotation)
    if origin is Annotated:
        return _type(inner[0]) + _range(inner[1:])
    if origin is Literal:
        return " | ".join(map(_written, inner))
    if origin in (Union, UnionType):
        return " | ".join(map(_type, inner))
    if origin is dict:
        return "mapping"
    if origin is not None:
        return f"{origin.__name__} of {', '.join('...' if one is ... else _type(one) for one in inner)}"
    return "null" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))


def _range(metadata: Iterable[Any]) -> str:
    """Limits, also those that a ``Field`` within a type carries."""
    flat = [part for each in metadata for part in (each, *getattr(each, "metadata", ()))]
    limits = {limit: value for part in flat for limit in LIMITS if (value := getattr(part, limit, None)) is not None}
    return "".join(f" {word} {limits[limit]:g}" for limit, word in LIMITS.items() if limit in limits)


def _plain(value: Any) -> str:
    return ", ".join(sorted(value)) if isinstance(value, frozenset | tuple) else str(value)
