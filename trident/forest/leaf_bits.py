"""All tests of a tree for LANES rows at once, without a branch and without a look-up per test.

A vector holds a word of leaves for each of LANES rows. A test compares the keys of one column, which lie side by side,
with one limit and clears its leaves in the rows that go right. numba's own loops would keep that vector in memory, so
the two steps that touch it are written as vector instructions of LLVM, which fits them to any processor: with AVX-512
a step of 16 rows is a load, an addition, a comparison and a masked "and".
"""

from __future__ import annotations

from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba.core import types

from trident.forest.pruning import WORD

intrinsic: Any = numba.extending.intrinsic  # whose annotations ask callers for the compiler's own argument as well
LANES = 64
NOWHERE = np.uint32(0xFFFFFFFF)
BIT, INT, LONG, DOUBLE = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.DoubleType()
INTS, LONGS, DOUBLES = (ir.VectorType(kind, LANES) for kind in (INT, LONG, DOUBLE))


@numba.njit(cache=True, nogil=True, boundscheck=False)
def add_leaves(keys, columns, tests, word_end, leaf_begin, leaf, total):
    """Add to each row's `total` (n,) float64 the leaves that it ends in, tree by tree; the rest is as in Tests."""
    known = np.empty((len(columns), LANES), np.int32)
    found, sums = np.empty(LANES, np.uint32), np.empty(LANES, np.float64)
    for begin in range(0, len(keys), LANES):
        rows = min(LANES, len(keys) - begin)
        for lane in range(LANES):  # always all lanes, the last row again where there are fewer
            row = begin + min(lane, rows - 1)
            sums[lane] = total[row]
            for column in range(len(columns)):
                known[column, lane] = keys[row, columns[column]]
        word, test = 0, np.int64(0)
        for tree in range(len(leaf_begin) - 1):
            leaves = leaf_begin[tree + 1] - leaf_begin[tree]
            found[:] = NOWHERE
            for first in range(0, leaves, WORD):
                end = np.int64(word_end[word])
                _find_leaf(known, tests, test, end, np.uint32(first), found)
                word, test = word + 1, end
            _add(leaf, np.int64(leaf_begin[tree]), found, sums)
        total[begin : begin + rows] = sums[:rows]


@intrinsic
def _find_leaf(typing: Any, known: Any, tests: Any, begin: Any, end: Any, first: Any, found: Any) -> Any:
    """found (LANES,) uint32 = the smaller of itself and the leftmost leaf of the word that tests begin..end - 1 keep.

    Leaf 0 of the word is number `first`. A word without a leaf leaves `found` as it is.
    """

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        keys, rows, out = (_data(context, b, signature, args, i) for i in (0, 1, 5))
        entry, head, body, done = b.block, *(b.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        test, standing = b.phi(LONG), b.phi(INTS)
        b.cbranch(b.icmp_signed("<", test, args[3]), body, done)

        b.position_at_end(body)
        row = b.mul(test, LONG(4))
        slot, limit, shift, keep = (b.load(b.gep(rows, [b.add(row, LONG(i))])) for i in range(4))
        x = _load(b, b.gep(keys, [b.mul(b.sext(slot, LONG), LONG(LANES))]), INTS)
        right = b.icmp_signed(">", b.add(x, _all(b, shift, INTS)), _all(b, limit, INTS))
        left = b.and_(standing, b.select(right, _all(b, keep, INTS), _same(INTS, -1)))
        for phi, start, following in ((test, args[2], b.add(test, LONG(1))), (standing, _same(INTS, -1), left)):
            phi.add_incoming(start, entry)
            phi.add_incoming(following, body)
        b.branch(head)

        b.position_at_end(done)
        place = b.call(_declared(b, "llvm.cttz.v64i32", INTS, [INTS, BIT]), [standing, BIT(0)])
        none = b.icmp_unsigned("==", standing, _same(INTS, 0))
        leaf = b.select(none, _same(INTS, -1), b.add(place, _all(b, args[4], INTS)))
        before = _load(b, out, INTS)
        _store(b, b.select(b.icmp_unsigned("<", leaf, before), leaf, before), out)
        return context.get_dummy_value()

    return types.void(known, tests, begin, end, first, found), generate


@intrinsic
def _add(typing: Any, leaf: Any, begin: Any, found: Any, sums: Any) -> Any:
    """sums (LANES,) float64 += leaf[begin + found], for found (LANES,) uint32."""

    def generate(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        leaves, places, out = (_data(context, b, signature, args, i) for i in (0, 2, 3))
        number = b.zext(_load(b, places, INTS), LONGS)
        start = _all(b, b.ptrtoint(b.gep(leaves, [args[1]]), LONG), LONGS)
        pointers = ir.VectorType(DOUBLE.as_pointer(), LANES)
        address = b.inttoptr(b.add(start, b.shl(number, _same(LONGS, 3))), pointers)
        everywhere = ir.VectorType(BIT, LANES)
        gather = _declared(b, "llvm.masked.gather.v64f64.v64p0", DOUBLES, [pointers, INT, everywhere, DOUBLES])
        value = b.call(gather, [address, INT(8), _same(everywhere, 1), ir.Constant(DOUBLES, ir.Undefined)])
        _store(b, b.fadd(_load(b, out, DOUBLES), value), out)
        return context.get_dummy_value()

    return types.void(leaf, begin, found, sums), generate


def _data(context: Any, b: ir.IRBuilder, signature: Any, args: Any, i: int) -> ir.Value:
    return context.make_array(signature.args[i])(context, b, args[i]).data


def _load(b: ir.IRBuilder, pointer: ir.Value, kind: ir.VectorType) -> ir.Value:
    return b.load(b.bitcast(pointer, kind.as_pointer()), align=4)


def _store(b: ir.IRBuilder, value: ir.Value, pointer: ir.Value) -> None:
    b.store(value, b.bitcast(pointer, value.type.as_pointer()), align=4)


def _same(kind: ir.VectorType, value: int) -> ir.Constant:
    return ir.Constant(kind, [value] * LANES)


def _all(b: ir.IRBuilder, value: ir.Value, kind: ir.VectorType) -> ir.Value:
    """A vector that holds `value` in every lane."""
    nothing = ir.Constant(kind, ir.Undefined)
    return b.shuffle_vector(b.insert_element(nothing, value, INT(0)), nothing, _same(INTS, 0))


def _declared(b: ir.IRBuilder, name: str, returns: ir.Type, takes: list[ir.Type]) -> ir.Function:
    return b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(returns, takes), name)
