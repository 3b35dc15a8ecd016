"""Every case, by number."""

from tests.acceptance import (
    cases_ambiguity,
    cases_cancel,
    cases_desk,
    cases_fees,
    cases_fills,
    cases_filters,
    cases_ids,
    cases_line,
    cases_orders,
    cases_restart,
    cases_streams,
)
from tests.acceptance.case import added

__all__ = ["ALL"]

_FILES = (
    cases_orders,
    cases_fills,
    cases_cancel,
    cases_ambiguity,
    cases_restart,
    cases_filters,
    cases_fees,
    cases_ids,
    cases_line,
    cases_desk,
    cases_streams,
)
ALL = added()
