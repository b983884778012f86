"""How much a published board may hold: enough for large matrices, too little to fill a disk or a memory."""

from __future__ import annotations

MIB = 1 << 20

MAX_BUNDLE = 1024 * MIB
"""Bytes of a bundle's file."""

MAX_ENTRIES = 20_000
"""Files of a bundle: a few for the tables, one per cell and plot."""

MAX_FILE = 256 * MIB
"""Bytes of one file, and of one array, unpacked."""

MAX_TOTAL = 2048 * MIB
"""Bytes of all files of a bundle together, unpacked."""

MAX_RATIO = 200
"""Unpacked over packed size, of files above ``RATIO_FROM``: text of numbers packs 5 to 20 times, bombs 1,000 times."""

RATIO_FROM = 8 * MIB
"""Small arrays may pack any number of times: one of zeros does."""

MAX_ARRAYS = 64
"""Arrays of one npz file."""

MAX_DEPTH = 32
"""Nested lists and objects of a JSON file; a board has fewer than 10."""

MAX_ARRAY_TOTAL = 512 * MIB
"""Bytes of all arrays of one npz file together, which are held in memory at once."""

MAX_NPY_HEADER = 10_000
"""Bytes of an array's header, as numpy's own limit; ours take 128."""

MAX_JSON = 64 * MIB
"""Bytes of a JSON file, and of a table or text that is read whole."""

MAX_VALUES = 2_000_000
"""Values of a JSON file: each takes far more memory than its bytes in the file."""
