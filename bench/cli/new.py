"""``bench new``: a working plugin and its test, to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import InputError

KINDS = ("target", "defense", "attack")


def new(
    kind: Annotated[str, typer.Argument(help="target, defense or attack.")],
    name: Annotated[str, typer.Argument(help="Its name, in snake_case.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where the two files go.")] = Path(),
) -> None:
    """Write a working plugin and its test; a matrix takes it as ./NAME.py:ClassName.

    Examples:

      bench new defense my_defense

      bench new attack my_attack --folder plugins
    """
    import keyword
    import string

    if kind not in KINDS:
        from bench.registry import did_you_mean

        raise InputError(f"expected one of {', '.join(KINDS)}, got {kind!r}{did_you_mean(kind, KINDS)}")
    if not name.isidentifier() or not name.islower() or keyword.iskeyword(name):
        raise InputError(f"expected a name in snake_case, such as my_{kind}, got {name!r}")
    from bench.registry import names

    if name in names(f"{kind}s"):  # type: ignore[arg-type]
        raise InputError(f"expected a name of your own, but the suite has a {kind} named {name!r}; choose another one")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    written = {folder / f"{name}.py": f"{kind}.py.txt", folder / f"test_{name}.py": f"test_{kind}.py.txt"}
    if existing := [str(path) for path in written if path.exists()]:
        raise InputError(f"expected to write {' and '.join(existing)}, but that exists; choose another name or folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path, template in written.items():
        text = (files("bench") / "scaffold" / template).read_text("utf-8")
        path.write_text(string.Template(text).substitute(name=name, class_name=class_name), "utf-8")
        print(f"wrote {path}")
    print(f"in a matrix: ./{name}.py:{class_name}, relative to the matrix file")
    print(f"its test: pytest {folder / f'test_{name}.py'}")
