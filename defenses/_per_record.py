"""Per-record gradients, clipped and summed by Opacus: the update shared by ``clip_only`` and ``dp_sgd``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bench.devices import generator_device
from bench.errors import IncompatibleError
from bench.records import Schema
from bench.rng import torch_generator
from defenses.base import Defense, TrainingContext, Updater
from targets.base import Losses, Networks, Phase, Target, modules

if TYPE_CHECKING:
    import torch

GradSampleMode = Literal["hooks", "functorch"]


def refuses_per_record(defense: Defense, target: Target) -> str | None:
    """Why per-record clipping cannot be exact for this target, known without building it; None if it can."""
    if (reason := target.refuses_private()) is not None:
        return f"{defense.name} cannot protect {target.name}: {reason}"
    if type(target).fit is not Target.fit:
        return f"{defense.name} cannot protect {target.name}: it takes more from the records than clipped gradients"
    private = [phase for phase in target.phases() if phase.private]
    if len(private) != 1:
        return (
            f"{defense.name} makes one clipped update per step, but {target.name} has {len(private)} phases that "
            "read real records"
        )
    if private[0].every != 1:
        return f"{defense.name} counts every step, but {target.name} reads records on every {private[0].every}th only"
    uncovered = sorted(set(target.private_roles) - set(private[0].roles))
    if uncovered:
        return f"{defense.name} would leave {uncovered} of {target.name}, which read real records, unprotected"
    if getattr(target.options, "norm", None) == "batch":
        return (
            f"{target.name} with norm=batch mixes the records of a batch in a private network, so no gradient "
            "belongs to one record; use norm=group"
        )
    return None


class PerRecordDefense(Defense):
    """What ``clip_only`` and ``dp_sgd`` share: their options, when they refuse, and Poisson sampling."""

    family = "privacy"
    per_record = True

    class Options(Defense.Options):
        max_grad_norm: float = Field(1.0, gt=0, allow_inf_nan=False)
        """Bound on the norm of one record's gradient over all private networks."""
        mode: GradSampleMode = "hooks"
        """How Opacus computes per-record gradients."""

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        return super().refuses(target, schema, before) or refuses_per_record(self, target)

    def poisson(self) -> bool:
        return True


class PerRecordUpdater(Updater):
    """Clips each row's gradient over all private networks jointly, adds noise, divides by a public constant.

    Every row of the batch, real or generated, is one gradient sample; real rows are records. Their losses are
    *summed*, so nothing that enters a clipped gradient depends on how many records were drawn.
    """

    def __init__(
        self,
        phase: Phase,
        networks: Networks,
        optimizer: torch.optim.Optimizer,
        context: TrainingContext,
        *,
        noise_multiplier: float,
        max_grad_norm: float,
        mode: GradSampleMode,
    ) -> None:
        from opacus.optimizers import DPOptimizer

        from defenses._grad_sample import RecordHooks

        private = modules(networks, phase.roles)
        _validate(private, context.target.name)
        # loss_reduction="sum": the hooks must not multiply by the number of rows, which Poisson sampling varies.
        self.hooks = [
            RecordHooks(module, loss_reduction="sum", strict=True, force_functorch=mode == "functorch")
            for module in private
        ]
        for hooks in self.hooks:
            hooks.disable_hooks()
        # Two models that are both released must not share their noise: their difference would cancel it.
        noise_name = ("dp noise", repr(context.target), context.stack, str(noise_multiplier), str(max_grad_norm))
        self.dp_optimizer = DPOptimizer(
            optimizer,
            noise_multiplier=noise_multiplier,
            max_grad_norm=max_grad_norm,
            expected_batch_size=context.batch_size,
            loss_reduction="mean",  # divides the noisy sum by the constant expected batch size
            generator=torch_generator(context.seed, *noise_name, device=generator_device(context.device)),
        )
        super().__init__(optimizer)

    def begin(self) -> None:
        for hooks in self.hooks:
            hooks.enable_hooks()
        self.dp_optimizer.zero_grad(set_to_none=True)

    def step(self, losses: Losses, size: int) -> None:
        import torch

        private = self.dp_optimizer.params
        rows = sum(len(part) for part in (losses.private, losses.public) if part is not None)
        if rows:
            with warnings.catch_warnings():
                # The private networks' inputs are records and detached samples, which need no gradient of their own.
                warnings.filterwarnings("ignore", message="Full backward hook is firing")
                losses.total().backward()  # type: ignore[no-untyped-call]
        else:  # a sum over no row, which functorch cannot form; its noise is added all the same
            self._forget_forward_pass()
            for p in private:
                p.grad_sample = p.new_zeros((0, *p.shape))
        found = {len(g) if isinstance(g := p.grad_sample, torch.Tensor) else None for p in private}
        if found != {rows}:  # two passes would add one row's gradient to another's before the clip
            raise IncompatibleError(
                f"per-record gradients need every row of the batch in one pass through each private network: "
                f"expected {rows} gradient samples of every parameter, got {found}"
            )
        # A clip multiplies, and 0 * inf is NaN: one record's overflow must not reach the sum.
        for p in private:
            torch.nan_to_num_(p.grad_sample, nan=0.0, posinf=0.0, neginf=0.0)
        self.dp_optimizer.step()

    def end(self) -> None:
        # Another phase runs through these networks: its activations must not be captured.
        for hooks in self.hooks:
            hooks.disable_hooks()
        # Gradients without noise outlive their step neither in memory nor in the trained networks.
        for p in self.dp_optimizer.params:
            p.grad_sample = p.summed_grad = None

    def _forget_forward_pass(self) -> None:
        """Drop what the hooks noted of a forward pass that no backward pass follows."""
        for p in self.dp_optimizer.params:
            p._forward_counter = 0
        for hooks in self.hooks:
            for module in hooks._module.modules():
                if hasattr(module, "activations"):
                    module.activations.clear()


def _validate(private: Sequence[torch.nn.Module], target: str) -> None:
    """Refuse networks whose per-record gradients would not be per record.

    Raises:
        IncompatibleError: with everything that Opacus finds.
    """
    from opacus.grad_sample import GradSampleHooks
    from opacus.validators import ModuleValidator

    errors = [
        str(error)
        for module in private
        for validate in (ModuleValidator.validate, GradSampleHooks.validate)
        for error in validate(module, strict=False)
    ]
    if errors:
        raise IncompatibleError(f"per-record gradients are not possible in {target}: " + "; ".join(errors))
