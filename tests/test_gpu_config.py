from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from trident.contract import CANDIDATES, COMMITTED, LEAVES, RANKER, USER_TOWER, ModelContract
from trident.gpu_search import CardIndex
from trident.model_config import FOLDER, GPU, WITH_CARDS, config, gpu_config, gpu_text
from trident.release import Release
from trident.search import ItemIndex
from trident.stages.candidates import Candidates
from trident.stages.host import Host

KIND_GPU, KIND_CPU = ModelInstanceGroup.KIND_GPU, ModelInstanceGroup.KIND_CPU


@pytest.mark.parametrize("contract", COMMITTED, ids=lambda c: c.name)
def test_the_committed_config_for_cards_is_what_the_contract_says(contract: ModelContract):
    path, expected = FOLDER / contract.name / "configs" / f"{GPU}.pbtxt", gpu_config(contract)
    if expected is None:
        assert not path.exists()
        return
    assert text_format.Parse(path.read_text("utf-8"), ModelConfig()) == expected, "run `python -m trident.model_config`"
    assert text_format.Parse(gpu_text(contract), ModelConfig()) == expected


def test_tower_search_and_forest_run_on_cards_and_the_rest_on_more_processes():
    kinds = {c.name: found.instance_group[0].kind for c in LEAVES if (found := gpu_config(c))}
    assert {name for name, kind in kinds.items() if kind == KIND_GPU} == {USER_TOWER.name, CANDIDATES.name, RANKER.name}
    for contract in LEAVES:
        if kinds.get(contract.name) == KIND_CPU:
            assert gpu_config(contract).instance_group[0].count > config(contract).instance_group[0].count


def test_users_are_searched_in_batches_whatever_they_have_seen():
    message = gpu_config(CANDIDATES)
    assert message.max_batch_size == 64
    assert message.HasField("dynamic_batching")
    assert not message.dynamic_batching.max_queue_delay_microseconds
    assert {t.name: list(t.dims) for t in message.input}["user_vectors"] == [188]
    assert [t.name for t in message.input if t.allow_ragged_batch] == ["seen_rows"]


@pytest.mark.parametrize("contract", [c for c in LEAVES if c.name in WITH_CARDS], ids=lambda c: c.name)
def test_names_types_files_and_versions_are_the_same_on_cards(contract: ModelContract):
    here, there = config(contract), gpu_config(contract)
    assert [(t.name, t.data_type) for t in here.input] == [(t.name, t.data_type) for t in there.input]
    assert [(t.name, t.data_type) for t in here.output] == [(t.name, t.data_type) for t in there.output]
    assert (here.backend, here.version_policy) == (there.backend, there.version_policy)
    assert dict(here.parameters) == dict(there.parameters)


def test_candidates_on_a_card_answers_from_it(tiny_release, monkeypatch):
    asked = []

    def on(cpu: ItemIndex, device: int) -> CardIndex:
        asked.append(device)
        return CardIndex(cpu.index, cpu.nprobe, cpu.widening)

    def told(self: CardIndex, queries: np.ndarray) -> list:
        asked.append(len(queries))
        return ItemIndex.prepared(self, queries)

    monkeypatch.setattr(CardIndex, "on", on)
    monkeypatch.setattr(CardIndex, "prepared", told)
    release = Release.open(tiny_release)
    embeddings = np.random.default_rng(1).normal(size=(3, 128)).astype(np.float32)
    users = {
        "user_embedding": embeddings, "seen_rows": np.full((3, 1), -1), "viewer_region": np.full((3, 1), -1, np.int32),
        "viewer_age": np.full((3, 1), 40, np.int32), "state_flags": np.zeros((3, 1), np.int32),
        "encoder_release": np.ones((3, 1), np.int64),
    }  # fmt: skip
    made = {}
    for card in (None, 1):
        stage = Candidates.open(release, Host(infer=lambda *_: {}, stand_in=object(), card=card))
        made[card] = stage(**users)
        stage.close()
    assert asked == [1, 3]
    assert np.array_equal(made[None]["candidate_rows"], made[1]["candidate_rows"])
