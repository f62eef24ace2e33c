"""What an encoder could not say, collected while it writes."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ...universal.loss import Loss, LossKind, Severity
from ...universal.node import Node, Opaque
from ..fields import ext_losses
from .profile import NAME

__all__ = ["Report"]


class Report:
    """Collects the losses of one document.

    Args:
        home: Whether the document was born in this protocol: its ``ext`` and ``form`` are written back then.

    Attributes:
        losses: In the order in which they were found.
    """

    __slots__ = ("home", "losses")

    def __init__(self, *, home: bool) -> None:
        self.home = home
        self.losses: list[Loss] = []

    def add(
        self,
        path: str,
        kind: LossKind,
        severity: Severity,
        reason: str,
        *,
        target: str | UnsetType = UNSET,
        template: str | UnsetType = UNSET,
    ) -> None:
        """Note a loss."""
        self.losses.append(
            Loss(path=path, kind=kind, severity=severity, reason=reason, target=target, template=template)
        )

    def dropped(self, path: str, severity: Severity, what: str) -> None:
        """Note that the protocol has no place for this."""
        self.add(path, LossKind.DROPPED, severity, f"{NAME} has no {what}")

    def ext(self, node: Node, path: str) -> None:
        """Note the members of another protocol."""
        if not self.home and node.ext is not UNSET:
            self.losses.extend(ext_losses(node.ext, path, NAME))

    def opaque(self, payloads: tuple[Opaque, ...], path: str) -> None:
        """Note payloads that only their minter can read."""
        for index, payload in enumerate(payloads):
            self.add(
                f"{path}.opaque[{index}]",
                LossKind.ORIGIN_MISMATCH,
                Severity.DEGRADED,
                f"only {payload.protocol} can read its {payload.kind}",
            )
