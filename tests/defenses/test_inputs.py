"""A network that is shown changed inputs in training, and only then."""

from __future__ import annotations

import pytest
import torch
from dp_cases import rows
from torch import nn

from bench.errors import IncompatibleError
from defenses._inputs import ChangedInput
from targets.nets.labels import WithLabels


class Judge(nn.Module):
    """Keeps what it is shown and answers with one weighted sum per row."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(120, 1)
        self.shown: list[tuple[torch.Tensor, ...]] = []

    def forward(self, x: torch.Tensor, *labels: torch.Tensor) -> torch.Tensor:
        self.shown.append((x, *labels))
        found: torch.Tensor = self.head(x.flatten(1))
        return found


def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


def test_in_training_every_row_is_changed_and_labels_are_not() -> None:
    judge, x, labels = Judge(), rows(5), torch.arange(5)
    wrapped = ChangedInput(judge, doubled).train()
    found = wrapped(x, labels)
    ((shown, seen),) = judge.shown
    assert torch.equal(shown, 2 * x)
    assert seen is labels
    assert torch.equal(found, judge.head(2 * x.flatten(1)))


def test_in_evaluation_mode_it_is_the_network_itself() -> None:
    def never(x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("changed an input in evaluation mode")

    judge, x = Judge(), rows(5)
    wrapped = ChangedInput(judge, never).eval()
    assert torch.equal(wrapped(x), judge.head(x.flatten(1)))
    assert judge.shown[0][0] is x
    with pytest.raises(AssertionError, match="in evaluation mode"):
        wrapped.train()(x)


def test_gradients_flow_through_the_change() -> None:
    judge = Judge()
    x = rows(3).requires_grad_(True)
    (gradient,) = torch.autograd.grad(ChangedInput(judge, doubled).train()(x).sum(), x)
    expected = 2 * judge.head.weight.reshape(1, 1, 10, 12)
    torch.testing.assert_close(gradient, expected.expand(3, -1, -1, -1))


def test_only_the_networks_own_weights_are_stored() -> None:
    wrapped, other = (ChangedInput(Judge(), doubled) for _ in range(2))
    assert set(wrapped.state_dict()) == {"network.head.weight", "network.head.bias"}
    other.load_state_dict(wrapped.state_dict())
    assert torch.equal(other(rows(4)), wrapped(rows(4)))


def test_it_changes_what_the_label_is_joined_to() -> None:
    inner = Judge()
    inner.head = nn.Linear(3 * 120, 1)
    wrapped = ChangedInput(WithLabels(inner, 2), doubled).train()
    wrapped(rows(2), torch.tensor([0, 1]))
    ((shown, *_),) = inner.shown
    assert torch.equal(shown[:, :1], 2 * rows(2))
    assert shown[:, 1:].flatten(2).mean(dim=2).tolist() == [[1.0, 0.0], [0.0, 1.0]]  # one-hot planes, as they were


@pytest.mark.parametrize("x", [rows(3), torch.ones(3, 7)], ids=["image", "table"])
def test_networks_that_redraw_their_input_are_refused(x: torch.Tensor) -> None:
    wrapped = ChangedInput(nn.Identity(), doubled)
    with pytest.raises(IncompatibleError, match=r"gives each row a logit, got one that redraws its input \(\(3, "):
        wrapped.train()(x)
    assert torch.equal(wrapped.eval()(x), x)


def test_a_logit_for_a_single_value_is_no_redrawing() -> None:
    assert ChangedInput(nn.Linear(1, 1), doubled).train()(torch.ones(3, 1)).shape == (3, 1)
