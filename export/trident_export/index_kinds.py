"""Kinds of index by the names of FAISS's index factory, and which are tried for a catalogue of a size."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from trident.errors import InvalidInput

RECALL = 0.95  # of the exact nearest items, that the search has to find
EXACT_BELOW = 20_000  # items; up to here reading everything takes less than half a millisecond
MOST_LISTS = 16_384  # a graph over clusters loses its way among them
GROUPED_FROM = 2_048  # lists, of which all are compared with a query in the time that groups of them take
CODES = ("SQ8", "SQfp16")  # the second, of twice the size, where 8 bits per number cannot reach the recall
K_FACTORS = (2.0, 4.0, 8.0, 16.0)
NAME = re.compile(
    r"Flat|(?P<coarse>IVF(?P<lists>\d+)(?:_HNSW32|\(IVF(?P<groups>\d+),Flat\))?)"
    r",(?P<codes>\w+)(?:,Refine\((?P<refine>\w+)\))?"
)


@dataclass(frozen=True)
class Kind:
    """One kind of index."""

    factory: str  # as FAISS names it
    coarse: str = ""  # the first part of that: how many lists, and how they are found; kinds may share them
    lists: int = 0  # inverted lists; 0: all items are compared
    groups: int = 0  # of lists near each other; 0: a query is compared with all lists, or a graph leads to them
    codes: str = "Flat"  # what the lists hold
    refine: str = ""  # codes that are compared again

    @classmethod
    def of(cls, factory: str) -> Kind:
        """Read a name such as `Flat`, `IVF4096_HNSW32,SQ8` or `IVF4096(IVF64,Flat),PQ64x4fs,Refine(SQ8)`."""
        found = NAME.fullmatch(factory)
        if not found:
            expected = (
                "Flat, IVF<lists>,<codes> or IVF<lists>,<codes>,Refine(<codes>), _HNSW32 or (IVF<n>,Flat) after <lists>"
            )
            raise InvalidInput(f"index: expected {expected}, got '{factory}'")
        if not found["lists"]:
            return cls(factory)
        lists, groups = int(found["lists"]), int(found["groups"] or 0)
        return cls(factory, found["coarse"], lists, groups, found["codes"], found["refine"] or "")

    @property
    def graph(self) -> bool:
        """Whether a graph finds the lists."""
        return "_HNSW32" in self.coarse

    @property
    def k_factors(self) -> tuple[float, ...]:
        """How many times as many items are refined as asked for."""
        return K_FACTORS if self.refine else (1.0,)


def kinds_for(items: int, exact_below: int = EXACT_BELOW) -> list[Kind]:
    """What is tried for so many items, one after the other until one reaches the recall."""
    if items < exact_below:
        return [Kind.of("Flat")]
    lists = min(MOST_LISTS, round(4 * math.sqrt(items)))
    return [Kind.of(f"{with_lists(lists)},{codes}") for codes in CODES]


def with_lists(lists: int) -> str:
    """The first part of the name of an index with so many lists: how they are found."""
    return f"IVF{lists}(IVF{round(math.sqrt(lists))},Flat)" if lists >= GROUPED_FROM else f"IVF{lists}"


def checked(factories: Sequence[str]) -> list[Kind]:
    """The kinds of those names; raise InvalidInput for a name that is none."""
    return [Kind.of(factory) for factory in factories]
