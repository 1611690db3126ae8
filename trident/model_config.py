"""The `config.pbtxt` of every model, and `configs/gpu.pbtxt` where cards change it, built from the contract.

`python -m trident.model_config` writes the committed ones again; a test fails when they drift from the contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from trident.canary import Canary
from trident.contract import (
    BUSINESS_RULES,
    CANDIDATES,
    COMMITTED,
    RANKER,
    RECOMMEND,
    RENAMED,
    STEPS,
    USER_ENCODER,
    USER_TOWER,
    ModelContract,
    TensorSpec,
)

TEMPLATE_RELEASE = 1
"""The release that the committed ensemble points to; publish writes its own number."""

LEAF_VERSIONS = 3
"""The serving release, the one before it, and a third that is on trial; which of them are there the folders decide."""


@dataclass(frozen=True)
class WithCards:
    """How a model runs on a machine with NVIDIA cards."""

    instances: int  # on each card, or of processes
    batch: int = 0  # rows at most, 0 for requests one by one
    on_card: bool = True


GPU = "gpu"
"""What `--model-config-name` is called with where there are cards."""

_WORKERS = WithCards(instances=4, on_card=False)  # a machine with a card has 16 cores or so

WITH_CARDS: Mapping[str, WithCards] = {
    USER_TOWER.name: WithCards(instances=1, batch=64),
    # While one searches, the other sets up filters and copies answers; each holds an index on the card. A batch costs
    # about as much to search as one user, so users wait for each other here, which they do not on CPUs.
    CANDIDATES.name: WithCards(instances=2, batch=64),
    RANKER.name: WithCards(instances=2, batch=RANKER.max_batch_size),  # one computes while the other copies
    USER_ENCODER.name: _WORKERS,
    BUSINESS_RULES.name: _WORKERS,
}
"""What differs there. No batch is waited for: whatever queues while a batch is computed is the next one."""

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


def text_of_experiment(contract: ModelContract, canary: Canary | None) -> str:
    """The config of the second ensemble or of the router, which name the canary that runs, if any."""
    told = replace(contract, parameters=canary.parameters() if canary else {})
    return text(told, canary.release if canary else None)


def gpu_config(contract: ModelContract) -> model_config_pb2.ModelConfig | None:
    """The config of a leaf on a machine with cards; None where it is the same as on one without."""
    there = WITH_CARDS.get(contract.name)
    if there is None:
        return None
    message = config(replace(contract, instances=there.instances, max_batch_size=there.batch))
    if there.on_card:
        message.instance_group[0].kind = model_config_pb2.ModelInstanceGroup.KIND_GPU
    for tensor in message.input if there.batch else ():
        tensor.allow_ragged_batch = -1 in tensor.dims  # as many items as each user has seen
    return message


def gpu_text(contract: ModelContract) -> str | None:
    """The text of its `configs/gpu.pbtxt`, if it has one."""
    message = gpu_config(contract)
    return None if message is None else text_format.MessageToString(message, as_utf8=True)


def write_configs(folder: Path, release: int | None = None) -> None:
    """Write the configs of every model of the contract to its folder under `folder`."""
    for contract in COMMITTED:
        _write(folder / contract.name / "config.pbtxt", text(contract, release))
        if card := gpu_text(contract):
            _write(folder / contract.name / "configs" / f"{GPU}.pbtxt", card)


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")


def _fill_leaf(message: model_config_pb2.ModelConfig, contract: ModelContract) -> None:
    message.backend = contract.backend
    message.version_policy.latest.num_versions = LEAF_VERSIONS
    message.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=contract.instances)
    if contract.max_batch_size > 0:
        message.dynamic_batching.SetInParent()


def _fill_ensemble(message: model_config_pb2.ModelConfig, release: int) -> None:
    message.platform = "ensemble"
    message.version_policy.specific.versions.append(release)  # its version is the release that it pins
    asked = {_name(tensor) for group in (RECOMMEND.outputs, *(step.inputs for step in STEPS)) for tensor in group}
    for contract in STEPS:
        step = message.ensemble_scheduling.step.add(model_name=contract.name, model_version=release)
        step.input_map.update(_map(contract.inputs))
        step.output_map.update(_map(tensor for tensor in contract.outputs if _name(tensor) in asked))


def _map(tensors: Iterable[TensorSpec]) -> dict[str, str]:
    """The name of each tensor in its model → its name in the ensemble."""
    return {t.name: _name(t) for t in tensors}


def _name(tensor: TensorSpec) -> str:
    """What a tensor is called in the ensemble, which must not have one that nobody asks for."""
    return RENAMED.get(tensor.name, tensor.name)


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
