"""Ways to damage a release, each with the reason for which it must be refused; see damaged_releases.py.

A damage changes a folder of hard links to a good release. Afterwards the folder is sealed as far as somebody may have
done it: not at all, so that the digests do not fit; with new digests in the manifest; or with everything that
`trident build` writes last, as if the build itself had gone wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from damages.columns import columns
from damages.files import cut, flipped, links, rules, swapped, there
from damages.making import Damage
from damages.manifests import edited
from damages.models import forests, indexes, towers
from trident.release import MANIFEST, Manifest

__all__ = ["Damage", "damages"]


def damages(good: Path, other: Path) -> Iterator[Damage]:
    """All damages of `good`; some take files of `other`, a release of other data."""
    files = [*sorted(Manifest.read(good / MANIFEST).files), MANIFEST]
    yield from cut(good, files)
    yield from flipped(good, files)
    yield from there(files)
    yield from swapped(good, other, files)
    yield from edited(good)
    yield from towers(good)
    yield from indexes(good)
    yield from forests(good, other)
    yield from columns(good)
    yield from links()
    yield from rules()
