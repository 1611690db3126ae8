"""The `config.pbtxt` of every model, built from the contract as protobuf messages.

`python -m trident.model_config` writes the committed ones again; a test fails when they drift from the contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from trident.contract import MODELS, RENAMED, STEPS, ModelContract, TensorSpec

TEMPLATE_RELEASE = 1
"""The release that the committed ensemble points to; publish writes its own number."""

LEAF_VERSIONS, ENSEMBLE_VERSIONS = 2, 1

FOLDER = Path(__file__).resolve().parents[1] / "model_repository"


def config(contract: ModelContract, release: int | None = None) -> model_config_pb2.ModelConfig:
    """Build the config of one model; an ensemble pins every step to `release` (None: TEMPLATE_RELEASE)."""
    message = model_config_pb2.ModelConfig(name=contract.name, max_batch_size=contract.max_batch_size)
    batched = contract.max_batch_size > 0
    message.input.extend(_input(t, batched) for t in contract.inputs)
    message.output.extend(_output(t, batched) for t in contract.outputs)
    for key, value in contract.parameters.items():
        message.parameters[key].string_value = value
    if contract.backend == "ensemble":
        _fill_ensemble(message, TEMPLATE_RELEASE if release is None else release)
    else:
        _fill_leaf(message, contract)
    return message


def text(contract: ModelContract, release: int | None = None) -> str:
    """The config of one model as the text of its `config.pbtxt`."""
    return text_format.MessageToString(config(contract, release), as_utf8=True)


def write_configs(folder: Path, release: int | None = None) -> None:
    """Write `<model>/config.pbtxt` under `folder` for every model of the contract."""
    for contract in MODELS:
        path = folder / contract.name / "config.pbtxt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(contract, release), "utf-8")


def _fill_leaf(message: model_config_pb2.ModelConfig, contract: ModelContract) -> None:
    message.backend = contract.backend
    message.version_policy.latest.num_versions = LEAF_VERSIONS
    message.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=contract.instances)
    if contract.max_batch_size > 0:
        message.dynamic_batching.SetInParent()


def _fill_ensemble(message: model_config_pb2.ModelConfig, release: int) -> None:
    message.platform = "ensemble"
    message.version_policy.latest.num_versions = ENSEMBLE_VERSIONS
    for contract in STEPS:
        step = message.ensemble_scheduling.step.add(model_name=contract.name, model_version=release)
        step.input_map.update(_map(contract.inputs))
        step.output_map.update(_map(contract.outputs))


def _map(tensors: Iterable[TensorSpec]) -> dict[str, str]:
    """The name of each tensor in its model → its name in the ensemble."""
    return {t.name: RENAMED.get(t.name, t.name) for t in tensors}


def _dims(tensor: TensorSpec, batched: bool) -> tuple[int, ...]:
    """Triton leaves the batch axis out of the dims of a batching model."""
    return tensor.shape[1:] if batched else tensor.shape


def _input(tensor: TensorSpec, batched: bool) -> model_config_pb2.ModelInput:
    return model_config_pb2.ModelInput(
        name=tensor.name, data_type=_type(tensor), dims=_dims(tensor, batched), optional=tensor.optional
    )


def _output(tensor: TensorSpec, batched: bool) -> model_config_pb2.ModelOutput:
    return model_config_pb2.ModelOutput(name=tensor.name, data_type=_type(tensor), dims=_dims(tensor, batched))


def _type(tensor: TensorSpec) -> int:
    """BYTES of the wire protocol is TYPE_STRING in a config; all other names are the same."""
    name = "STRING" if tensor.dtype == "BYTES" else tensor.dtype
    return model_config_pb2.DataType.Value(f"TYPE_{name}")


if __name__ == "__main__":
    write_configs(FOLDER)
