"""The contracts of plugins, as plain functions: each raises AssertionError with everything that a plugin breaks.

Write a test that calls the one of your plugin's kind::

    def test_contract() -> None:
        check_defense(MyDefense(strength=0.5))

Each returns a report: rule -> "" where it was checked, or why it does not apply to this plugin.
"""

from bench.contracts.attack import check_attack
from bench.contracts.dataset import check_dataset
from bench.contracts.defense import check_defense
from bench.contracts.light import check_light
from bench.contracts.planted import Planted
from bench.contracts.rules import Report
from bench.contracts.target import check_target

__all__ = ["Planted", "Report", "check_attack", "check_dataset", "check_defense", "check_light", "check_target"]
