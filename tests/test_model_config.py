from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from trident.contract import (
    BUSINESS_RULES,
    COMMITTED,
    LEAVES,
    RANKER,
    RECOMMEND,
    STEPS,
    USER_ENCODER,
    USER_TOWER,
    ModelContract,
)
from trident.model_config import FOLDER, config, gpu_config, text, write_configs

every_model = pytest.mark.parametrize("contract", COMMITTED, ids=lambda c: c.name)
every_leaf = pytest.mark.parametrize("contract", LEAVES, ids=lambda c: c.name)


def _dims(tensors) -> dict[str, list[int]]:
    return {t.name: list(t.dims) for t in tensors}


@every_model
def test_the_committed_config_is_what_the_contract_says(contract: ModelContract):
    committed = text_format.Parse((FOLDER / contract.name / "config.pbtxt").read_text("utf-8"), ModelConfig())
    assert committed == config(contract), "run `python -m trident.model_config`"


@every_model
def test_the_text_reads_back_as_the_message(contract: ModelContract):
    assert text_format.Parse(text(contract, 7), ModelConfig()) == config(contract, 7)


@every_model
def test_every_tensor_of_the_contract_is_there_in_order(contract: ModelContract):
    message = config(contract)
    assert [t.name for t in message.input] == [t.name for t in contract.inputs]
    assert [t.name for t in message.output] == [t.name for t in contract.outputs]
    assert [t.optional for t in message.input] == [t.optional for t in contract.inputs]


def test_a_batching_model_leaves_the_batch_axis_out():
    message = config(RANKER)
    assert message.max_batch_size == 32768
    assert _dims(message.input) == {"input__0": [120]}
    assert _dims(message.output) == {"output__0": [1]}
    assert message.HasField("dynamic_batching")
    assert _dims(config(USER_TOWER).input) == {"user_features": [40], "taste": [128]}


def test_no_queue_is_bounded_by_triton_which_would_let_requests_wait_for_an_idle_model():
    for contract in LEAVES:
        for message in (config(contract), gpu_config(contract)):
            assert message is None or not message.dynamic_batching.HasField("default_queue_policy")


def test_requests_are_admitted_by_the_first_step_and_end_with_the_last():
    assert [step for step in STEPS if step.admits] == [STEPS[0]]
    assert [step for step in STEPS if step.ends] == [STEPS[-1]]


def test_a_model_that_does_not_batch_names_all_axes():
    message = config(USER_ENCODER)
    assert message.max_batch_size == 0
    assert _dims(message.output)["user_vectors"] == [-1, 188]
    assert _dims(message.output)["seen_rows"] == [-1, -1]
    assert _dims(config(BUSINESS_RULES).input)["click_probability"] == [-1, 1]


def test_parameters_are_text():
    assert {k: v.string_value for k, v in config(RANKER).parameters.items()} == dict(RANKER.parameters)


@every_leaf
def test_a_leaf_keeps_three_versions_on_the_cpu(contract: ModelContract):
    message = config(contract)
    assert message.backend == contract.backend
    assert message.version_policy.latest.num_versions == 3
    [group] = message.instance_group
    assert (group.kind, group.count) == (ModelInstanceGroup.KIND_CPU, contract.instances)


def test_the_ensemble_pins_every_step_to_the_release():
    steps = config(RECOMMEND, 42).ensemble_scheduling.step
    assert [(s.model_name, s.model_version) for s in steps] == [(c.name, 42) for c in STEPS]
    assert {s.model_version for s in config(RECOMMEND).ensemble_scheduling.step} == {1}
    assert list(config(RECOMMEND, 42).version_policy.specific.versions) == [42]


def test_every_step_is_fed_by_the_caller_or_by_an_earlier_step():
    message = config(RECOMMEND)
    there = {t.name for t in message.input}
    for step in message.ensemble_scheduling.step:
        assert set(step.input_map.values()) <= there, step.model_name
        made = set(step.output_map.values())
        assert not made & there, f"{step.model_name} makes a tensor that exists already"
        there |= made
    assert {t.name for t in message.output} <= there


def test_a_tensor_of_the_ensemble_has_one_type_from_end_to_end():
    ensemble = config(RECOMMEND)
    types = {t.name: t.data_type for t in ensemble.input}
    for step, contract in zip(ensemble.ensemble_scheduling.step, STEPS, strict=True):
        leaf = config(contract)
        for tensor in leaf.input:
            assert types[step.input_map[tensor.name]] == tensor.data_type, tensor.name
        types |= {step.output_map[t.name]: t.data_type for t in leaf.output}
    assert all(types[t.name] == t.data_type for t in ensemble.output)


def test_every_model_gets_its_file(tmp_path: Path):
    write_configs(tmp_path, 3)
    assert {p.parent.name for p in tmp_path.glob("*/config.pbtxt")} == {c.name for c in COMMITTED}
    assert "model_version: 3" in (tmp_path / "recommend/config.pbtxt").read_text()
