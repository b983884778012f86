"""What the server does under client-level differential privacy, with noise on all that it takes from the clients."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.devices import Device
from bench.errors import IncompatibleError
from defenses._fedavg import settle, trained_names, trained_parameters
from targets.base import Batch, Draw, Losses, Networks, Target, to_tensors
from targets.history import History

if TYPE_CHECKING:
    import torch

    from targets.base import Phase
    from targets.training import TrainingRequest


def add_noisy_mean(
    networks: Networks, clients: Sequence[Networks], max_norm: float, deviation: float, expected: float, noise: Draw
) -> None:
    """Move the global model by the clipped, noisy sum of what its clients changed, over the expected number of clients.

    Args:
        networks: the global model, as the clients received it.
        clients: their models, maybe none.
        max_norm: bound on the norm of one client's change over all trained parameters.
        deviation: of the noise on each coordinate of the sum.
        expected: how many clients there are in a round on average, a public constant.
        noise: where the noise comes from.
    """
    import torch

    with torch.no_grad():
        held = trained_parameters(networks)
        total = [torch.zeros_like(p) for p in held]
        for client in clients:
            # A clip multiplies, and 0 * inf is NaN: one client's overflow must not reach the sum.
            change = [
                torch.nan_to_num(mine - p, nan=0.0, posinf=0.0, neginf=0.0)
                for mine, p in zip(trained_parameters(client), held, strict=True)
            ]
            scale = (max_norm / torch.nn.utils.get_total_norm(change)).clamp_max(1.0)
            for part, each in zip(total, change, strict=True):
                part.add_(each * scale)
        for p, part in zip(held, total, strict=True):
            p.add_((part + deviation * noise.normal(*part.shape)) / expected)


def keep_up(request: TrainingRequest, networks: Networks, steps: range, draw: Draw) -> None:
    """Bring buffers and averages of the global model up to its new weights, without a record."""
    import torch

    target, schema = request.target, request.records.schema
    labels = None if request.records.labels is None else torch.zeros(0, dtype=torch.int64, device=request.device.name)
    x = torch.zeros(0, *schema.shape, device=request.device.name)
    nobody = Batch(x, labels, target.options.batch_size, schema)
    with torch.no_grad():
        for number in steps:
            settle(networks)
            for phase in target.phases():
                public = None
                if not phase.private:  # even where it is not due: other phases run through the same networks
                    with request.device.autocast():
                        public = target.losses(phase, networks, nobody, draw).public
                if number % phase.every == 0:
                    target.after_update(phase, networks, Losses(None, public), nobody)


def refuse_statistics(target: Target, networks: Networks) -> None:
    """Refuse networks that read records and keep statistics of them.

    Raises:
        IncompatibleError: with the roles.
    """
    from torch.nn.modules.batchnorm import _NormBase

    roles = [
        role
        for role in target.private_roles
        if any(isinstance(m, _NormBase) and m.track_running_stats for n in networks[role] for m in n.modules())
    ]
    if roles:
        raise IncompatibleError(
            f"the {' and '.join(roles)} of {target.name} keeps running statistics of its records, which no noise "
            "covers; use GroupNorm"
        )


def refuse_hidden_state(
    target: Target, before: Mapping[str, torch.Tensor], networks: Networks, client: Networks
) -> None:
    """Refuse a target that learns something which is no trained parameter and which the server cannot make up for.

    Args:
        target: what is trained.
        before: the global model that the client received.
        networks: the global model that the server made of the round.
        client: what the client made of it.

    Raises:
        IncompatibleError: with what it is.
    """
    import torch

    trained, mine, others = trained_names(networks), to_tensors(networks), to_tensors(client)
    missing = [
        name
        for name, received in before.items()
        if name not in trained and torch.equal(received, mine[name]) and not torch.equal(received, others[name])
    ]
    if missing:
        raise IncompatibleError(
            f"under dp_federated only trained parameters leave a client, but {target.name} learns {missing[0]} beside "
            "them, from its records"
        )


class ClientsHistory(History):
    """Losses and gradient norms of clients, which may decide nothing that can be seen from outside.

    Args:
        every: phase -> training steps per update.
        device: where the losses are.
    """

    def __init__(self, every: Mapping[str, int], device: Device) -> None:
        super().__init__(every)
        self.device = device
        self.last: dict[str, torch.Tensor] = {}

    def add(self, name: str, value: torch.Tensor) -> None:
        self.last[name] = value.detach()
        super().add(name, value)

    def repeat(self, number: int, phases: Sequence[Phase]) -> None:
        """A step of a round in which nobody took part has no losses of its own: the last ones stand, at first 0."""
        import torch

        for phase in phases:
            if number % phase.every == 0:
                for name in (f"loss/{phase.name}", f"grad_norm/{phase.name}"):
                    self.add(name, self.last.get(name, torch.zeros((), device=self.device.name)))

    def first_bad_step(self, limit: float, unread: Collection[str] = ()) -> int | None:
        """None: a training ends early for what is seen in the noisy global model alone."""
        return None
