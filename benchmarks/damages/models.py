"""Towers, indexes and forests that are not what the contract asks for, or hold NaN."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import lightgbm
import numpy as np
import onnx
import treelite
from onnx import TensorProto, helper, numpy_helper

from damages.making import CHECKPOINT, INDEX, TEXT, TOWER, Change, Damage, put, sealed, write


def towers(good: Path) -> Iterator[Damage]:
    """Weights that are not finite or lie elsewhere, other tensors and operators."""
    weights = [w.name for w in onnx.load_model(str(good / TOWER)).graph.initializer if len(w.dims) == 2]
    for number, name in enumerate(weights):
        for value in (np.nan, np.inf):
            change = _tower(lambda model, name=name, value=value: _spoil_weight(model, name, value))
            yield Damage("NaN weights of the tower", f"{value} in {name}, weight {number}", change, "NaN or infinite")
    for place in ("../weights.bin", "/etc/passwd", "../../../../etc/hostname", "weights.bin", "model.onnx"):
        change = _tower(lambda model, place=place: _refer(model, place))
        yield Damage("an ONNX with external data", place, change, "all weights inside, got .* in another file")
    change = _tower(lambda model: _refer_in_a_node(model))
    yield Damage("an ONNX with external data", "in a node", change, "all weights inside, got .* in another file")
    for name, change, about in (
        ("another input", lambda m: setattr(m.graph.input[0], "name", "rows"), "inputs: expected"),
        ("another width", lambda m: _set_dim(m.graph.input[0], 1, 41), "inputs: expected"),
        ("a fixed batch", lambda m: _set_dim(m.graph.input[0], 0, 1), "inputs: expected"),
        ("another output", lambda m: setattr(m.graph.output[0], "name", "vector"), "outputs: expected"),
        ("an operator of our own", lambda m: setattr(m.graph.node[0], "domain", "my.ops"), "operators of ONNX alone"),
        ("an unknown operator", lambda m: setattr(m.graph.node[0], "op_type", "Nonsense"), "no valid ONNX model"),
        ("no weights", lambda m: m.graph.ClearField("initializer"), "no valid ONNX|cannot be read|does not run"),
        ("a bias of 1", lambda m: _spoil_weight(m, m.graph.initializer[-1].name, 1.0), "golden request|length 1"),
    ):
        yield Damage("a tower against the contract", name, _tower(change), about)


def _tower(edit: Callable[[onnx.ModelProto], object]) -> Change:
    def change(folder: Path) -> None:
        model = onnx.load_model(str(folder / TOWER))
        edit(model)
        put(folder / TOWER, model.SerializeToString())

    return sealed(change)


def _spoil_weight(model: onnx.ModelProto, name: str, value: float) -> None:
    for weight in model.graph.initializer:
        if weight.name == name:
            array = numpy_helper.to_array(weight).copy()
            array.flat[array.size // 2] = value
            weight.CopyFrom(numpy_helper.from_array(array, name))


def _refer(model: onnx.ModelProto, place: str) -> None:
    weight = next(w for w in model.graph.initializer if len(w.dims) == 2)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=place)


def _refer_in_a_node(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros((4, 4), np.float32), "inner")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../inner.bin")
    model.graph.node.append(helper.make_node("Constant", [], ["never_used"], value=tensor))


def _set_dim(value: onnx.ValueInfoProto, axis: int, size: int) -> None:
    value.type.tensor_type.shape.dim[axis].Clear()
    value.type.tensor_type.shape.dim[axis].dim_value = size


def indexes(good: Path) -> Iterator[Damage]:
    """Too few items, too many, of another kind, in another order, not finite."""
    index = faiss.read_index(str(good / INDEX))
    vectors = index.reconstruct_n(0, index.ntotal)
    n, kind = len(vectors), "an index with fewer items than columns"
    for left in (0, 1, n // 2, n - 1):
        yield Damage(kind, f"{left} of {n}", _index(vectors[:left]), f"expected {n} vectors of 128, got {left}")
    yield Damage(
        kind, "inverted lists", _index(vectors[: n - 9], "IVF8,Flat"), f"expected {n} vectors of 128, got {n - 9}"
    )
    kind = "an index that does not fit"
    yield Damage(kind, "more items", _index(np.concatenate([vectors, vectors])), f"expected {n} vectors of 128")
    yield Damage(kind, "64 dimensions", _index(vectors[:, :64].copy()), f"{n} vectors of 128, got {n} of 64")
    yield Damage(kind, "another metric", _index(vectors, metric=faiss.METRIC_L2), "under inner product")
    yield Damage(
        kind, "an item twice", _index(vectors, "IVF8,Flat", rows=[*range(n - 1), 0]), "each of .* rows in one list"
    )
    yield Damage(kind, "a row too high", _index(vectors, "IVF8,Flat", rows=[*range(n - 1), n]), "index: cannot be read")
    yield Damage(kind, "items in another order", _index(vectors[::-1].copy()), "golden request 1")
    for name, value in (("NaN", np.nan), ("infinite", np.inf)):
        for row in (0, n // 2, n - 1):
            spoiled = vectors.copy()
            spoiled[row, 7] = value
            yield Damage("NaN in the index", f"{name} in row {row}", _index(spoiled), "NaN or infinite")


def _index(
    vectors: np.ndarray, factory: str = "Flat", metric: int = faiss.METRIC_INNER_PRODUCT, rows: Any = None
) -> Change:
    def change(folder: Path) -> None:
        index = faiss.index_factory(vectors.shape[1], factory, metric)
        if not index.is_trained:
            index.train(vectors)
        if rows is None:
            index.add(vectors)
        else:
            index.add_with_ids(vectors, np.array(rows, np.int64))
        put(folder / INDEX, faiss.serialize_index(index).tobytes())

    return sealed(change)


def forests(good: Path, other: Path) -> Iterator[Damage]:
    """Texts that are cut off, leaves and thresholds that are not finite, other trees."""
    text = (good / TEXT).read_text()
    kind = "a forest of NaN, or cut off"
    for part in range(1, 11):
        cut = write(TEXT, text[: len(text) * part // 11].encode())
        yield Damage(kind, f"{part}/11 of the text", sealed(cut), "model.txt: ")
    leaves = [m.span(1) for m in re.finditer("^leaf_value=(.*)$", text, re.M)]
    for tree in range(0, len(leaves), max(1, len(leaves) // 5)):
        begin, end = leaves[tree]
        for value in ("nan", "inf", ""):
            words = text[begin:end].split()
            words[0] = value
            spoiled = text[:begin] + " ".join(words) + text[end:]
            yield Damage(kind, f"leaf {value!r} in tree {tree} of both", _both(spoiled), "model.txt: ")
    for name, old, new, about in (
        ("features", "max_feature_idx=119", "max_feature_idx=118", "max_feature_idx: expected 119"),
        ("objective", "objective=binary sigmoid:1", "objective=regression", "objective: expected"),
        ("classes", "num_class=1", "num_class=2", "num_class: expected 1"),
        ("one split", "split_feature=", "split_feature=400 ", "model.txt: "),
        ("no end", "end of trees", "end of", "cut off"),
    ):
        change = sealed(write(TEXT, text.replace(old, new, 1).encode()))
        yield Damage("a forest against the contract", name, change, about)
    yield Damage("a forest against the contract", "its trees in one file", _both(None, 5), "of different forests")
    theirs = (other / CHECKPOINT).read_bytes(), (other / TEXT).read_bytes()

    def both(folder: Path) -> None:
        put(folder / CHECKPOINT, theirs[0])
        put(folder / TEXT, theirs[1])

    yield Damage(
        "a file of another release, everything sealed anew", "both of the ranker", sealed(both), "golden request"
    )
    for field in ("leaf_value", "threshold"):
        for value in (np.nan, np.inf):
            yield Damage(kind, f"{field} {value} in the checkpoint", _checkpoint(field, value), "checkpoint.tl, tree")


def _both(text: str | None, trees: int = -1) -> Change:
    """Another text; or, without one, only the first trees in the checkpoint."""

    def change(folder: Path) -> None:
        if text is not None:
            put(folder / TEXT, text.encode())
            return
        booster = lightgbm.Booster(model_file=folder / TEXT)
        fewer = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=trees))
        (folder / CHECKPOINT).unlink()
        treelite.frontend.from_lightgbm(fewer).serialize(folder / CHECKPOINT)

    return sealed(change)


def _checkpoint(field: str, value: float) -> Change:
    def change(folder: Path) -> None:
        model = treelite.Model.deserialize(folder / CHECKPOINT)
        tree = model.get_tree_accessor(0)
        values = np.asarray(tree.get_field(field)).copy()
        inner = np.asarray(tree.get_field("cleft")) >= 0
        values[np.flatnonzero(inner == (field == "threshold"))[0]] = value
        tree.set_field(field, values)
        (folder / CHECKPOINT).unlink()
        model.serialize(folder / CHECKPOINT)

    return sealed(change)
