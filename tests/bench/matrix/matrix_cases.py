"""Small fake plugins, and the text of small matrices that use them."""

from __future__ import annotations

from collections.abc import Callable

from bench.matrix import ResolvedMatrix

HEADER = """
from __future__ import annotations
from typing import Literal
from pydantic import BaseModel, ConfigDict, Field, field_validator
from bench.plugin import Plugin, PluginOptions
"""

PLUGINS = {
    "fake_targets/dcgan.py": """
        class DCGAN(Plugin):
            '''A GAN.'''
            name = "dcgan"
            class Options(PluginOptions):
                width: int = Field(default=64, gt=0)
                betas: tuple[float, float] = (0.5, 0.999)
        """,
    "fake_targets/vae.py": """
        class Schedule(PluginOptions):
            kind: Literal["linear", "cosine"] = "linear"
            warmup: int = 0
        class VAE(Plugin):
            '''A VAE.'''
            name = "vae"
            class Options(PluginOptions):
                width: int = Field(default=32, gt=0)
                schedule: Schedule = Schedule()
                even: int = 2
                @field_validator("even")
                @classmethod
                def _even(cls, value: int) -> int:
                    if value % 2:
                        raise ValueError("expected an even number")
                    return value
        """,
    "fake_defenses/none.py": """
        class NoDefense(Plugin):
            name = "none"
        """,
    "fake_defenses/dropout.py": """
        class Dropout(Plugin):
            name = "dropout"
            class Options(PluginOptions):
                rate: float = Field(default=0.5, ge=0, lt=1)
        """,
    "fake_defenses/dp_sgd.py": """
        class DPSGD(Plugin):
            name = "dp_sgd"
            class Options(PluginOptions):
                epsilon: float = Field(gt=0)
                delta: float = 1e-5
        """,
    "fake_attacks/logan.py": """
        class Logan(Plugin):
            name = "logan"
        """,
    "fake_attacks/nearest.py": """
        class Nearest(Plugin):
            name = "nearest"
            class Options(PluginOptions):
                metric: Literal["l1", "l2"] = "l2"
                centred: bool = False
        """,
    "fake_attacks/needs_extra.py": """
        import no_such_package.flows
        """,
    "fake_datasets/digits.py": """
        class Digits(Plugin):
            name = "digits"
        """,
    "fake_datasets/npz.py": """
        class Npz(Plugin):
            name = "npz"
            class Options(PluginOptions):
                path: str | None = None
        """,
    "fake_datasets/greedy.py": """
        class Greedy(Plugin):
            name = "greedy"
            class Options(PluginOptions):
                members: int = 1
        """,
}


BASE = {
    "name": "quick",
    "dataset": "digits",
    "targets": "[dcgan]",
    "defenses": "[none]",
    "attacks": "[logan]",
}


def matrix_text(**changes: str | None) -> str:
    """The smallest matrix with some keys changed, added, or (None) left out; one key a line."""
    merged = {**BASE, **changes}
    return "".join(f"{key}: {value}\n" for key, value in merged.items() if value is not None)


Load = Callable[[str], ResolvedMatrix]
Fail = Callable[[str], list[str]]
