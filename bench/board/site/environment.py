"""Renders templates: every label is text, whatever it contains, and what a template misses is an error."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def render(template: str, **context: Any) -> str:
    """A page; ``root`` in the context is the way from it to the site's folder: empty, or ``../``."""
    return _environment().get_template(template).render(**context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bench.board", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["wrapped"] = wrapped
    return environment


def wrapped(label: str) -> Markup:
    """A label as HTML that may go on in the next line after ``_``, ``(``, ``=`` and ``,`` rather than within a word.

    >>> str(wrapped("dropout(rate=<b>)"))
    'dropout(<wbr>rate=<wbr>&lt;b&gt;)'
    """
    return Markup("<wbr>").join(escape(part) for part in re.split("(?<=[_(=,])", label))
