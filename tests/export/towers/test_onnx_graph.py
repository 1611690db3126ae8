from __future__ import annotations

import numpy as np
import onnx
import pytest

from trident.contract import USER_TOWER
from trident.errors import ReleaseError
from trident.onnx import OnnxModel
from trident_export.towers.onnx_graph import check_parity, write_user_tower


@pytest.fixture(scope="module")
def path(towers, tmp_path_factory):
    found = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert towers.export_onnx(found) <= 1e-4
    return found


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_onnx_gives_what_torch_gives_on_rows_with_holes(world, towers, path, batch):
    rows = world.validation.user_rows[:batch].copy()
    rows[::2, ::3] = np.nan
    taste = towers.item_vectors[:batch].astype(np.float32)
    got = OnnxModel.of(USER_TOWER, path)(user_features=rows, taste=taste)["user_embedding"]
    np.testing.assert_allclose(got, towers.user_embeddings(rows, taste), atol=1e-5)


def test_categorical_user_columns_are_exported(world, tmp_path):
    import torch

    from trident_export.towers.encoding import ColumnStatistics
    from trident_export.towers.model import Tower

    tower = Tower(ColumnStatistics.fit(world.train.user_rows, {0: 4, 3: 2}), dropout=0.0).eval()
    rows = world.train.user_rows[:6].copy()
    rows[:, 0] = [0, 3, 4, -1, np.nan, np.inf]
    taste = np.zeros((6, 128), np.float32)
    write_user_tower(tower, tmp_path / "model.onnx")
    expected = tower(torch.from_numpy(rows), torch.from_numpy(taste)).detach().numpy()
    assert check_parity(tmp_path / "model.onnx", rows, taste, expected) < 1e-5


def test_the_file_keeps_the_contract_and_holds_its_weights(path):
    model = onnx.load(str(path), load_external_data=False)
    assert [i.name for i in model.graph.input] == [t.name for t in USER_TOWER.inputs]
    assert [o.name for o in model.graph.output] == ["user_embedding"]
    assert {v.type.tensor_type.shape.dim[0].dim_param for v in model.graph.input} == {"batch"}
    assert not any(t.external_data for t in model.graph.initializer)
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]


def test_another_tower_in_the_file_is_noticed(world, towers, path):
    rows, taste = world.validation.user_rows[:4], np.zeros((4, 128), np.float32)
    with pytest.raises(ReleaseError, match="ONNX and torch"):
        check_parity(path, rows, taste, -towers.user_embeddings(rows, taste))


def test_a_difference_that_is_not_a_number_is_refused(world, path):
    rows, taste = world.validation.user_rows[:1], np.zeros((1, 128), np.float32)
    with pytest.raises(ReleaseError, match="nan"):
        check_parity(path, rows, taste, np.full((1, 128), np.nan, np.float32))
