"""What must hold of private training, each as one check: for the real code, and to be failed by planted mistakes.

A check takes what it looks at, trains or steps it by hand, and raises ``AssertionError`` where the claim would be
wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import dp_accounting  # type: ignore[import-untyped]
import numpy as np
import torch
from dp_accounting.pld import PLDAccountant  # type: ignore[import-untyped]
from dp_cases import SCHEMA, Private, clipped_sum, request, rows, tiny

from bench.contracts.rules import expect
from bench.errors import IncompatibleError
from defenses._accounting import EPS_ERROR
from defenses.base import Defense, stack_refuses
from targets.base import Target
from targets.training import train


def clips_every_row(private: Private) -> None:
    """The update is the sum of the rows' gradients, each clipped; a record that leaves takes no more than that."""
    x = rows(9)
    longest = float(private.literal(x).norm(dim=1).max())
    expect(longest > 2 * private.clip, f"expected gradients beyond the clip norm to look at, got at most {longest}")
    found, rounding = private.summed(x), 1e-4 * private.clip * (len(x) + private.size)
    off = float((found.double() - clipped_sum(private.literal(x), private.clip)).norm())
    expect(off <= rounding, f"expected the clipped sum of a loop over rows, got one that is {off} away")
    for leaver in range(len(x)):
        moved = float((found - private.summed(torch.cat([x[:leaver], x[leaver + 1 :]]))).norm())
        expect(moved <= private.clip + rounding, f"expected a record to move at most {private.clip}, got {moved}")


def generated_rows_are_public(private: Private) -> None:
    """As many generated rows as the public size, with the same gradients, however many records were drawn."""
    found = {n: private.literal(rows(n))[n:] for n in (0, 3, 20)}
    for n, generated in found.items():
        expect(
            len(generated) == private.size, f"expected {private.size} generated rows beside {n}, got {len(generated)}"
        )
        off = float((generated - found[20]).abs().max() / found[20].abs().max())
        expect(off < 1e-4, f"expected the same gradients of them beside {n} records as beside 20, got {off:.1%} off")


def records_keep_apart(private: Private) -> None:
    """A record's gradient is the one that it has alone."""
    x = rows(5)
    together = private.literal(x)
    for i in range(len(x)):
        alone = private.literal(x[i : i + 1])[0]
        off = float((together[i] - alone).norm() / alone.norm())
        expect(off < 1e-3, f"expected record {i} to have the gradient that it has alone, got {off:.1%} off")


def noise_is_what_is_accounted(noisy: Private, quiet: Private, noise_multiplier: float) -> None:
    """Noise of the accounted deviation on every step, drawn afresh each time, whether records were drawn or not."""
    for n in (0, 4):
        drawn = torch.stack([noisy.summed(rows(n)) - quiet.summed(rows(n)) for _ in range(6)]).double().numpy()
        std, expected = drawn.std(axis=1), noise_multiplier * noisy.clip
        bound = 6 * expected / np.sqrt(2 * drawn.shape[1])
        expect((abs(std - expected) < bound).all(), f"expected noise of deviation {expected} at every step, got {std}")
        expect((drawn != 0).any(axis=0).all(), "expected noise on every coordinate, got some without any")
        alike = np.corrcoef(drawn)[np.triu_indices(len(drawn), 1)].max()
        expect(alike < 6 / np.sqrt(drawn.shape[1]), f"expected fresh noise at every step, got a correlation of {alike}")


def every_step_is_noisy_and_counted_once(defense: Defense, target: Target, n: int, expected: int) -> None:
    """Each training step is one noisy update, with or without records, and the claim is of as many."""
    result = train(request(target, defense, n=n, expected=expected))
    norms = result.history["grad_norm/discriminator"]
    expect((norms > 0).all(), f"expected an update at each of {len(norms)} steps, got {np.count_nonzero(norms)}")
    claim = result.claim
    if claim is None or claim.epsilon is None:
        raise AssertionError("expected a claim")
    expect(claim.steps == result.steps_done, f"expected {result.steps_done} steps accounted for, got {claim.steps}")
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=1e-3)
    step = dp_accounting.PoissonSampledDpEvent(
        target.options.batch_size / expected, dp_accounting.GaussianDpEvent(claim.noise_multiplier)
    )
    truth = float(accountant.compose(step, result.steps_done).get_epsilon(claim.delta))
    expect(
        truth - 2e-3 <= claim.epsilon <= 1.01 * truth + EPS_ERROR + 2e-3,
        f"expected a claim of {truth:.4f} by an independent accountant, got {claim.epsilon:.4f}",
    )


def batch_norm_is_refused(target: Target, defense: Defense) -> None:
    """A private network that mixes records is refused with the reason, though no option says that it is there."""
    expect(stack_refuses((defense,), target, SCHEMA) is None, "expected a target that looks harmless to the plan")
    try:
        train(request(target, defense))
    except IncompatibleError as error:
        expect("BatchNorm" in str(error), f"expected the reason to name BatchNorm, got: {error}")
    except Exception as error:
        raise AssertionError(f"expected a refusal, got {type(error).__name__}: {error}") from error
    else:
        raise AssertionError("expected a refusal, but it trained")


def closes_a_stack(defense: Defense, others: Sequence[Defense]) -> None:
    """Before any other defense it is refused with the right order, and after it, it is not."""
    for other in others:
        right, reason = f"[{other.name}, {defense.name}]", stack_refuses((defense, other), tiny(), SCHEMA)
        expect(reason and right in reason, f"expected to be told {right}, got {reason!r}")
        reason = stack_refuses((other, defense), tiny(), SCHEMA)
        expect(reason is None, f"expected {right} to do, got {reason!r}")
