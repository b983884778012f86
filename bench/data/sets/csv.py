"""The user's own table in a CSV file."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.data.csv_table import CsvTable, read_csv
from bench.errors import InputError
from bench.records import Column, Records, Schema


class Csv(Dataset):
    """Your own table: a comma-separated file in UTF-8 with a line of column names; missing values are refused.

    Columns of text are categorical, columns of numbers numeric unless they are listed in `categorical`.
    """

    name = "csv"

    class Options(Dataset.Options):
        path: str
        """The CSV file, relative to the matrix file."""
        label: str | None = None
        """The column that holds each row's class; it is no part of the rows."""
        categorical: tuple[str, ...] = ()
        """Columns whose values are categories although they are numbers, or look like missing values."""
        drop: tuple[str, ...] = ()
        """Columns to leave out, such as names and identifiers."""

    options: Options

    def load(self, base_dir: Path) -> Records:
        table = read_csv(base_dir / self.options.path)
        self._check_names(table)
        kept = [name for name in table.names if name not in (*self.options.drop, self.options.label)]
        if not kept:
            raise InputError(f"{table.path}: expected columns beside label and drop, got none")
        problems: list[str] = []
        columns, values = [], []
        for name in kept:
            try:
                numbers = None if name in self.options.categorical else table.numbers(name)
                categories, codes = ((), numbers) if numbers is not None else table.categories(name)
            except InputError as error:
                problems += error.problems
                continue
            columns.append(Column(name, categories))
            values.append(codes)
        classes, labels = None, None
        if self.options.label is not None:
            try:
                found, labels = table.categories(self.options.label)
                classes = len(found)
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(problems)
        x = np.stack(values, axis=1).astype(np.float32)
        schema = Schema("table", (len(columns),), classes, tuple(columns))
        return Records(np.arange(len(x), dtype=np.int64), x, labels, schema)

    def _check_names(self, table: CsvTable) -> None:
        """Refuses options that name no column, or one column twice."""
        options = self.options
        label = () if options.label is None else (options.label,)
        named: dict[str, tuple[str, ...]] = {
            "label": label,
            "categorical": options.categorical,
            "drop": options.drop,
        }
        problems = []
        for option, names in named.items():
            for name in names:
                if name not in table.names:
                    near = difflib.get_close_matches(name, table.names, n=1)
                    hint = f"; did you mean {near[0]!r}?" if near else ""
                    problems.append(
                        f"{table.path}: `{option}` names the column {name!r}, but line 1 has {list(table.names)}{hint}"
                    )
        listed = [name for names in named.values() for name in names]
        problems += [
            f"{table.path}: column {name!r} is named more than once in label, categorical and drop; name it once"
            for name in dict.fromkeys(listed)
            if listed.count(name) > 1
        ]
        if problems:
            raise InputError(problems)
