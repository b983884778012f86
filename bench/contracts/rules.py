"""How a contract is checked: a table of rules, all of them tried, everything that is broken raised together."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from bench.plugin import Plugin

S = TypeVar("S")
P = TypeVar("P", bound=Plugin)
Rule = Callable[[S], str | None]
Report = dict[str, str]


def expect(condition: object, message: str) -> None:
    """An assertion that ``python -O`` keeps.

    Raises:
        AssertionError: the condition is false.
    """
    if not condition:
        raise AssertionError(message)


def check(rules: Sequence[Rule[S]], subject: S, what: str, leave_out: Collection[str]) -> Report:
    """Try every rule; a rule returns why it does not apply, or None once it held.

    Args:
        leave_out: names of rules that the caller does not want checked.

    Raises:
        AssertionError: rules are broken; names all of them.
    """
    known = [rule.__name__ for rule in rules]
    unknown = sorted(set(leave_out) - set(known))
    expect(not unknown, f"expected leave_out to name some of the rules {known}, got {unknown}")
    report, broken = {}, []
    for rule in rules:
        name = rule.__name__
        try:
            report[name] = "left out by the caller" if name in leave_out else rule(subject) or ""
        except AssertionError as error:
            broken.append(f"{name}: {error}")
        except Exception as error:
            if not broken:  # a bug of the plugin: its traceback says most
                raise
            broken.append(f"{name}: could not be checked after the above: {type(error).__name__}: {error}")
    expect(not broken, f"{what} breaks its contract:\n" + "\n".join(f"  - {line}" for line in broken))
    return report


def instance(plugin: P | type[P]) -> P:
    """The plugin itself, or one of its class with default options.

    Raises:
        AssertionError: the class needs options.
    """
    if not isinstance(plugin, type):
        return plugin
    required = [name for name, field in plugin.Options.model_fields.items() if field.is_required()]
    expect(not required, f"{plugin.__name__} needs the options {required}: pass an instance instead of the class")
    return plugin()


def declaration(plugin: Plugin) -> None:
    """What every plugin declares: a name, a summary, described options, and a spec that describes it fully."""
    cls = type(plugin)
    name = getattr(cls, "name", None)
    expect(
        isinstance(name, str) and name.isidentifier() and name == name.lower(),
        f"expected `name` in snake_case, got {name!r}",
    )
    expect("__doc__" in vars(cls) and cls.summary(), "expected a docstring, whose first line is shown in listings")
    silent = [option for option, field in cls.Options.model_fields.items() if not field.description]
    expect(not silent, f"expected a docstring under every option, got none for {silent}")
    spec = plugin.spec()
    again = cls.from_spec(json.loads(json.dumps(spec)))
    expect(
        again == plugin and again.spec() == spec,
        f"expected from_spec(spec()) to give the same instance, got {again!r} for {plugin!r}",
    )
    expect(again.label() == plugin.label(), f"expected one label, got {plugin.label()!r} and {again.label()!r}")
