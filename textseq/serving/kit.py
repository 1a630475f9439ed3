"""The files beside an export that TensorFlow Serving is started with, filled in with the export's own names and limits.

OUT/kit/
  docker-compose.yml         starts the stock image
  models.config              which model, and that its newest version is served
  batching_parameters.txt    how requests are merged
  monitoring.config          where Prometheus finds the metrics
  README.md                  a page for whoever runs it

Servers pass over the folder, whose name is no number. Inside the server it stands with the export, under
`/models/NAME/kit`, so that one read-only mount is enough.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from textseq.atomic_files import write_atomically, writing
from textseq.errors import InputError, OutputError
from textseq.serving import server_configuration
from textseq.serving.batch_sizes import (
    SERVERS_OWN_MOST,
    fitting_batch_sizes,
    longest_usual_bytes,
    read_parameters,
    served_batch_sizes,
)
from textseq.serving.exported_signatures import ExportedSignatures
from textseq.serving.server_configuration import BatchingParameters, ModelServerConfig, MonitoringConfig
from textseq.serving.versions import exported_task, served_version
from textseq.serving.warmup import Examples

KIT = "kit"
"""In the folder of an export."""

BATCHING_PARAMETERS = "batching_parameters.txt"

PROCESSORS = 2
"""Processors that the server may use, and batches that it runs at the same time."""

BATCH_DELAY_MICROSECONDS = 3000
"""How long a request waits for others; a small part of what a translation takes."""

WAITING_TEXTS = 1024
"""Texts that wait for one signature before the next one is refused."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TEMPLATES = Path(__file__).with_name("kit_templates")
_GIGABYTE = 1 << 30
_SERVERS_OWN_QUEUE = 10
# Reading a version takes its file and the tensors in memory at the same time, and two versions meet.
_MEMORY_PER_BYTE = 6
_ANYWAY = 3 * _GIGABYTE // 2


def allowed_batch_sizes(folder: Path, golden: Mapping[str, Examples]) -> tuple[int, ...]:
    """Returns the batch sizes that the server of a folder uses: those it has been started with, else those that fit.

    Args:
        folder: the folder of the versions; it may be missing.
        golden: by the name of the signature.

    Raises:
        OutputError: the folder's `batching_parameters.txt` is no such file.
    """
    parameters = read_parameters(folder / KIT / BATCHING_PARAMETERS)
    return fitting_batch_sizes(golden) if parameters is None else served_batch_sizes(parameters)


def write_kit(
    folder: Path, golden: Mapping[str, Examples], ceilings: Mapping[str, str], name: str | None = None
) -> Path:
    """Writes the kit for the version that is served.

    Each file appears whole or not at all. `batching_parameters.txt` stays where it is there, for the reason that
    `textseq.serving.batch_sizes` gives, and so do files of other names.

    Args:
        folder: the folder of the versions, one of which has been published.
        golden: inputs and outputs by the name of the signature, for the lengths and for an example.
        ceilings: how much of one text a signature reads, in words, such as "512 tokens"; by the signature's name.
        name: of the model on the server; the export's task when None.

    Returns:
        The folder of the kit.

    Raises:
        InputError: a name that cannot stand in an address.
        OutputError: it is no folder of an export, or cannot be written.
    """
    task = exported_task(folder)
    version = served_version(folder)
    name = task if name is None else name
    if not _NAME.fullmatch(name):
        raise InputError(f"the model's name is {name!r}, expected letters, digits, '.', '_' and '-'; choose another")
    kept = read_parameters(folder / KIT / BATCHING_PARAMETERS)
    parameters = _batching_parameters(fitting_batch_sizes(golden)) if kept is None else kept
    exported = ExportedSignatures.read(version)
    files = {
        "models.config": _models_config(name),
        "monitoring.config": _monitoring_config(),
        "docker-compose.yml": _docker_compose(name, version, exported.tensorflow_version),
        "README.md": _guide(name, task, exported, golden, ceilings, parameters),
    }
    kit = folder / KIT
    with writing(kit):
        kit.mkdir(exist_ok=True)
    if kept is None:
        files = {BATCHING_PARAMETERS: _batching_text(parameters, golden), **files}
    for file, content in files.items():
        write_atomically(kit / file, content)
    return kit


def _models_config(name: str) -> str:
    message = ModelServerConfig()
    config = message.model_config_list.config.add(name=name, base_path=f"/models/{name}", model_platform="tensorflow")
    config.model_version_policy.latest.num_versions = 1
    return _configuration("models.config", message)


def _batching_parameters(sizes: Sequence[int]) -> Any:
    message = BatchingParameters(allowed_batch_sizes=sizes)
    message.max_batch_size.value = sizes[-1]
    message.batch_timeout_micros.value = BATCH_DELAY_MICROSECONDS
    message.max_enqueued_batches.value = -(-WAITING_TEXTS // sizes[-1])
    message.num_batch_threads.value = PROCESSORS
    return message


def _batching_text(parameters: Any, golden: Mapping[str, Examples]) -> str:
    longest = max(longest_usual_bytes(examples) for examples in golden.values())
    return _configuration(BATCHING_PARAMETERS, parameters, longest=f"{longest:,}", most=parameters.max_batch_size.value)


def _monitoring_config() -> str:
    message = MonitoringConfig(prometheus_config={"enable": True, "path": "/monitoring/prometheus/metrics"})
    return _configuration("monitoring.config", message)


def _docker_compose(name: str, version: Path, tensorflow_version: str) -> str:
    if not re.match(r"\d+\.\d+\.", tensorflow_version):
        raise OutputError(
            f"{version / 'saved_model.pb'}: written by TensorFlow {tensorflow_version!r}, expected a version such as "
            f"2.21.0; export the run anew"
        )
    size = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    gigabytes = -(-(_ANYWAY + _MEMORY_PER_BYTE * size) // _GIGABYTE)
    return _filled(
        "docker-compose.yml",
        name=name,
        tag=_tag(tensorflow_version),
        tensorflow_version=tensorflow_version,
        processors=PROCESSORS,
        memory=f"{gigabytes}g",
    )


def _tag(tensorflow_version: str) -> str:
    """The image's tag: TensorFlow Serving follows TensorFlow's minor versions, and its patches have their own count."""
    major, minor = tensorflow_version.split(".")[:2]
    return f"{major}.{minor}.0"


def _guide(
    name: str,
    task: str,
    exported: ExportedSignatures,
    golden: Mapping[str, Examples],
    ceilings: Mapping[str, str],
    parameters: Any,
) -> str:
    program, verb = ("classifiers", "predict") if task == "classifiers" else ("nmt", "translate")
    example = golden["serving_default"]
    text = _example_text(example)
    body = json.dumps({"instances": [{"text": text}]}, ensure_ascii=False)
    address = f"http://localhost:8501/v1/models/{name}:predict"
    # Where a file does not say, the server's own numbers hold.
    most = parameters.max_batch_size.value or SERVERS_OWN_MOST
    waiting = (parameters.max_enqueued_batches.value or _SERVERS_OWN_QUEUE) * most
    return _filled(
        "README.md",
        name=name,
        program=program,
        verb=verb,
        model="" if name == task else f" --model {name}",
        tag=_tag(exported.tensorflow_version),
        curl=f"curl --data {shlex.quote(body)} {address}",
        python_text=json.dumps(text, ensure_ascii=False),
        output=next(each for each in ("translation", "label", *example.outputs) if each in example.outputs),
        signatures="\n".join(_row(each, takes, ceilings) for each, takes in exported.signatures.items()),
        most=most,
        delay=f"{parameters.batch_timeout_micros.value / 1000:g}",
        queue=f"{waiting:,}",
    )


def _row(name: str, signature: Any, ceilings: Mapping[str, str]) -> str:
    takes, gives = (
        ", ".join(f"`{key}` {_type(fields[key])}" for key in sorted(fields))
        for fields in (signature.inputs, signature.outputs)
    )
    return f"| `{name}` | {takes} | {gives} | {ceilings.get(name, 'all of it')} |"


def _type(tensor: Any) -> str:
    from textseq.serving.native.messages import DT_STRING
    from textseq.serving.native.tensors import array_type

    kind = "string" if tensor.dtype == DT_STRING else array_type(tensor.dtype).name
    sizes = [str(each.size) if each.size >= 0 else "any" for each in tensor.tensor_shape.dim]
    return f"{kind}[{', '.join(['batch', *sizes[1:]])}]"


def _example_text(examples: Examples) -> str:
    """The first of the golden inputs that is plain text of a line."""
    for value in examples.inputs["text"]:
        text = bytes(value).decode("utf-8", "replace")
        if text.strip() and text.isprintable() and "\ufffd" not in text and len(text) <= 200:
            return text
    return "one"


def _configuration(template: str, message: Any, **values: object) -> str:
    """The text of a configuration file, read back as the server does."""
    text = _filled(template, settings=server_configuration.written(message), **values)
    try:
        said = server_configuration.parsed(text, type(message))
    except ValueError:
        said = None
    if said != message:
        raise OutputError(
            f"{_TEMPLATES / template}: with the settings in it, it says something else than they do; "
            f"the template is altered, install this package anew"
        )
    return text


def _filled(template: str, **values: object) -> str:
    return Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
