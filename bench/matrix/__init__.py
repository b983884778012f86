"""The matrix file: what is crossed with what, strictly parsed."""

from bench.matrix.load import load_matrix
from bench.matrix.model import Matrix, PluginEntry, Quality, SplitOptions
from bench.matrix.resolved import DataSet, ResolvedMatrix, dataset_labels, display_names, stack_label
from bench.matrix.schema import matrix_schema

__all__ = [
    "DataSet",
    "Matrix",
    "PluginEntry",
    "Quality",
    "ResolvedMatrix",
    "SplitOptions",
    "dataset_labels",
    "display_names",
    "load_matrix",
    "matrix_schema",
    "stack_label",
]
