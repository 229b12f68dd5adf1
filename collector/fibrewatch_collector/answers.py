"""Answers of the API that whoever asks reads just as they were written: one place for both ends."""

from typing import Generic, TypeVar

from msgspec import Struct

from fibrewatch_collector.ledger.maintenance import Declaration
from fibrewatch_collector.ledger.rollout import Step

M = TypeVar("M")


class Problem(Struct, frozen=True, kw_only=True):
    """Why a request was not answered."""

    error: str


class Page(Struct, Generic[M], frozen=True, kw_only=True):
    """GET /api/v1/measurements; `next` is the value of `after` for the next page, None on the last one."""

    measurements: list[M]
    next: int | None


class Declared(Struct, frozen=True, kw_only=True):
    """A declaration of work, and whether it was made before it began."""

    in_time: bool
    declaration: Declaration


class Declarations(Struct, frozen=True, kw_only=True):
    """GET /api/v1/maintenance."""

    maintenance: list[Declared]


class Steps(Struct, frozen=True, kw_only=True):
    """GET /api/v1/rollout: all steps, in the order in which they were recorded."""

    rollout: list[Step]
