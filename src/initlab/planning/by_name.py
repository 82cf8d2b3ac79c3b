"""`ByName`: results with one row a parameter are found by name, counted, and gone through in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from initlab.errors import unknown
from initlab.sampling.streams import canonical_name


class Named(Protocol):
    """A row of one parameter."""

    @property
    def name(self) -> str: ...


Row = TypeVar("Row", bound=Named)


class ByName(Generic[Row]):
    """A result that is a row for each parameter: `result["a.weight"]`, `"a.weight" in result`, `len`, `for row in`."""

    def rows(self) -> Sequence[Row]:
        """The rows, in `named_parameters()` order; tied weights once."""
        raise NotImplementedError

    def __getitem__(self, name: str) -> Row:
        """The row of the parameter called `name`, or tied to that name; wrapper prefixes (`_orig_mod.`) are read.

        Raises:
            InputError: no such parameter (with the nearest names).
        """
        found = self._found(name)
        if found is None:
            raise unknown("parameter", name, (row.name for row in self.rows()))
        return found

    def __contains__(self, name: object) -> bool:
        """Whether a parameter is called `name`, or tied to that name."""
        return self._found(name) is not None

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows())

    def __len__(self) -> int:
        return len(self.rows())

    def _found(self, name: object) -> Row | None:
        rows = self.rows()
        known = self.__dict__.get("_found_in")
        if known is None or known[0] is not rows:
            tied = {tie: row for row in rows for tie in getattr(row, "tied_to", ())}
            known = self.__dict__["_found_in"] = (rows, tied | {row.name: row for row in rows})
        found: Row | None = known[1].get(name)
        return known[1].get(canonical_name(name)) if found is None and isinstance(name, str) else found
