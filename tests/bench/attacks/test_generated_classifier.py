"""The classifier of generated against reference records: LOGAN's discriminative attack under its other name."""

from __future__ import annotations

from logan_cases import read, request_of

from bench.attacks.generated_classifier import GeneratedClassifier
from bench.attacks.logan_discriminative import LoganDiscriminative
from bench.contracts import check_attack


def test_it_asks_for_the_very_model_of_the_discriminative_attack_that_knows_nothing() -> None:
    options = {"steps": 77, "width": 8, "batch_size": 16, "learning_rate": 1e-3}
    assert request_of(GeneratedClassifier(**options)) == request_of(LoganDiscriminative(**options))
    assert GeneratedClassifier().knowledge == LoganDiscriminative().knowledge == "reference"
    assert not GeneratedClassifier().known


def test_it_reads_what_the_discriminative_attack_reads() -> None:
    options = {"steps": 100, "width": 8, "batch_size": 32, "learning_rate": 2e-3}
    assert read(GeneratedClassifier(**options)) == read(LoganDiscriminative(**options)) > 0.7


def test_contract() -> None:
    report = check_attack(GeneratedClassifier())
    assert {rule for rule, reason in report.items() if reason} == {"stays_within_its_access"}
