"""``bench list``: what can be named in a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import InputError

if TYPE_CHECKING:
    from bench.plugin import Plugin
    from bench.registry import Kind

KINDS: tuple[Kind, ...] = ("targets", "defenses", "attacks", "datasets")


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
    for kind in KINDS:
        if what not in ("all", kind):
            continue
        print(f"{kind}:")
        for name in names(kind):
            _describe(get(kind, name))
        print()


def _describe(plugin: type[Plugin]) -> None:
    print(f"  {plugin.name}: {plugin.summary()}")
    facts = [
        f"{title} {_plain(value)}"
        for title, attribute in (
            ("access", "access"), ("knowledge", "knowledge"), ("works on", "data"), ("cost", "cost"),
            ("family", "family"), ("networks", "roles"), ("reads real records:", "private_roles"),
            ("adaptive attacks:", "adaptive"),
        )
        if (value := getattr(plugin, attribute, None))
    ]  # fmt: skip
    if facts:
        print(f"      {'; '.join(facts)}")
    if plugin.paper:
        print(f"      {plugin.paper}")
    for preset, settings in plugin.presets.items():
        print(f"      preset {preset}: {', '.join(f'{key}={value}' for key, value in settings.items())}")
    for option, field in plugin.Options.model_fields.items():
        kind = str(field.annotation) if not isinstance(field.annotation, type) else field.annotation.__name__
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        print(f"      - {option}: {kind.replace('typing.', '')} = {default}  {field.description or ''}")


def _plain(value: Any) -> str:
    return ", ".join(sorted(value)) if isinstance(value, frozenset | tuple) else str(value)
