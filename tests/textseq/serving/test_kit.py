"""The kit says what TensorFlow Serving understands, and what is true of the export."""

from __future__ import annotations

import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.textseq.serving.export_stand_in import GOLDEN, TEXTS, Examples, made_export, saved_model
from tests.textseq.serving.published_protos import published
from textseq import atomic_files
from textseq.errors import InputError, OutputError
from textseq.serving import kit as kit_module
from textseq.serving.kit import allowed_batch_sizes, write_kit
from textseq.serving.native import messages
from textseq.serving.warmup import read_warmup_requests, warmup_requests

CEILINGS = {"serving_default": "512 tokens", "n_best": "512 tokens"}
FILES = ["README.md", "batching_parameters.txt", "docker-compose.yml", "models.config", "monitoring.config"]

CLASSIFIER: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "serving_default": ({"text": messages.DT_STRING}, {"label": messages.DT_STRING, "probability": messages.DT_FLOAT}),
    "explain": ({"text": messages.DT_STRING}, {"words": messages.DT_STRING}),
}
COMBINED = {
    "serving_default": ({"text": messages.DT_STRING}, {"translation": messages.DT_STRING}),
    "translate_and_classify": ({"text": messages.DT_STRING}, {"label": messages.DT_STRING}),
}


def golden_of(signatures: dict[str, tuple[dict[str, int], dict[str, int]]]) -> dict[str, Examples]:
    return {
        name: Examples({key: TEXTS for key in takes}, {key: TEXTS for key in gives})
        for name, (takes, gives) in signatures.items()
    }


def parsed(path: Path, message: Any) -> Any:
    from google.protobuf import text_format

    return text_format.Parse(path.read_text(encoding="utf-8"), message)


def compose(kit: Path) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((kit / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert list(services) == ["tensorflow-serving"]
    return dict(services["tensorflow-serving"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_export(tmp_path / "out", 1)


@pytest.fixture
def kit(folder: Path) -> Path:
    return write_kit(folder, GOLDEN, CEILINGS)


def test_what_is_written(kit: Path, folder: Path) -> None:
    assert kit == folder / "kit"
    assert sorted(os.listdir(kit)) == FILES
    assert sorted(os.listdir(folder)) == ["1", "export.json", "kit"]


def test_models_config(kit: Path) -> None:
    package = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    config = parsed(kit / "models.config", package.ModelServerConfig())
    [model] = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("nmt", "/models/nmt", "tensorflow")
    assert model.model_version_policy.WhichOneof("policy_choice") == "latest"
    assert model.model_version_policy.latest.num_versions == 1
    assert not model.version_labels


def test_batching_parameters(kit: Path) -> None:
    parameters = parsed(kit / "batching_parameters.txt", published("BatchingParameters")())
    sizes = list(parameters.allowed_batch_sizes)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == parameters.max_batch_size.value == 64
    assert parameters.num_batch_threads.value == compose(kit)["cpus"] == 2
    assert parameters.max_enqueued_batches.value * sizes[-1] == 1024
    assert parameters.batch_timeout_micros.value == 3000
    assert not parameters.pad_variable_length_inputs


def test_monitoring_config(kit: Path) -> None:
    config = parsed(kit / "monitoring.config", published("MonitoringConfig")())
    assert config.prometheus_config.enable
    assert config.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_docker_compose(kit: Path) -> None:
    service = compose(kit)
    assert service["image"] == "tensorflow/serving:2.21.0"
    [mount] = service["volumes"]
    assert (mount["type"], mount["source"], mount["target"], mount["read_only"]) == ("bind", "..", "/models/nmt", True)
    assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"] == "2g"
    flags = dict(flag.removeprefix("--").split("=") for flag in service["command"])
    named = {name: flags.pop(name) for name in list(flags) if name.endswith("_file")}
    assert set(named) == {"model_config_file", "batching_parameters_file", "monitoring_config_file"}
    for path in named.values():  # inside the container; the folder above the kit is mounted there
        assert (kit.parent / Path(path).relative_to(mount["target"])).is_file()
    assert flags == {
        "enable_batching": "true",
        "tensorflow_intra_op_parallelism": "2",
        "tensorflow_inter_op_parallelism": "2",
    }


@contextmanager
def status_server(answer: bytes, paths: list[str]) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, as the image has it")
@pytest.mark.parametrize(("state", "code"), [("AVAILABLE", 0), ("LOADING", 1), (None, 1)])
def test_the_health_check(kit: Path, state: str | None, code: int) -> None:
    command = compose(kit)["healthcheck"]["test"]
    assert command[0] == "CMD"
    answer = json.dumps({"model_version_status": [{"version": "1", "state": state, "status": {}}]}, indent=1).encode()
    paths: list[str] = []
    with status_server(answer, paths) as port:
        used = 1 if state is None else port  # nobody listens on port 1
        asked = [part.replace("/8501", f"/{used}").replace("$$", "$") for part in command[1:]]
        done = subprocess.run(asked, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert paths == ([] if state is None else ["/v1/models/nmt"])


def test_the_guide(kit: Path) -> None:
    guide = (kit / "README.md").read_text(encoding="utf-8")
    assert "$" not in guide
    assert len(guide.splitlines()) < 100  # a page
    [curl] = re.findall(r"^curl .*$", guide, re.MULTILINE)
    _, flag, body, url = shlex.split(curl)
    assert (flag, json.loads(body)) == ("--data", {"instances": [{"text": "one"}]})
    assert url == "http://localhost:8501/v1/models/nmt:predict"
    [code] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    compile(code, "README.md", "exec")
    assert 'print(answer["translation"])' in code
    assert "| `n_best` | `n` int32[batch], `text` string[batch] | `count` int32[batch], `translations` string[batch, any] | 512 tokens |" in guide  # fmt: skip  # noqa: E501
    assert "`score` float32[batch], `translation` string[batch], `truncated` bool[batch]" in guide
    assert "\nnmt rollback ..\n" in guide
    assert "at most 64 texts, after at most 3 ms" in guide
    assert "When 1,024 texts wait" in guide


def test_an_example_with_quotes(folder: Path) -> None:
    text = 'It\'s "this" $HOME `x` größer \\'
    golden = {**GOLDEN, "serving_default": Examples({"text": [b"\xff", text.encode()]}, {"translation": []})}
    guide = (write_kit(folder, golden, CEILINGS) / "README.md").read_text(encoding="utf-8")
    [curl] = re.findall(r"^curl .*$", guide, re.MULTILINE)
    assert json.loads(shlex.split(curl)[2]) == {"instances": [{"text": text}]}
    [code] = re.findall(r"client.predict\((\{.*\})\)\n", guide)
    assert eval(code) == {"text": [text]}


@pytest.mark.parametrize(
    ("task", "signatures", "program", "output"),
    [
        ("classifiers", CLASSIFIER, "classifiers predict", "label"),
        ("combined", COMBINED, "nmt translate", "translation"),
    ],
)
def test_other_tasks(tmp_path: Path, task: str, signatures: Any, program: str, output: str) -> None:
    folder = made_export(tmp_path, 3, task=task, model=saved_model(signatures))
    kit = write_kit(folder, golden_of(signatures), {"explain": "2,048 tokens"})
    guide = (kit / "README.md").read_text(encoding="utf-8")
    assert f"`{program} --server http://localhost:8501" in guide
    assert f'answer["{output}"]' in guide
    assert all(f"| `{name}` |" in guide for name in signatures)
    assert f'name: "{task}"' in (kit / "models.config").read_text()
    assert "all of it" in guide
    assert ("2,048 tokens" in guide) == ("explain" in signatures)
    assert compose(kit)["volumes"][0]["target"] == f"/models/{task}"


def test_another_name(folder: Path) -> None:
    kit = write_kit(folder, GOLDEN, CEILINGS, name="en-de.v2")
    assert (
        "`nmt translate --server http://localhost:8501 --model en-de.v2 --input FILE`"
        in (kit / "README.md").read_text()
    )
    assert compose(kit)["volumes"][0]["target"] == "/models/en-de.v2"
    assert all("/models/nmt" not in (kit / name).read_text(encoding="utf-8") for name in FILES)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-x", "größe", "a:b", "x\n"])
def test_names_that_cannot_stand_in_an_address(folder: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        write_kit(folder, GOLDEN, CEILINGS, name=name)
    assert str(caught.value) == (
        f"the model's name is {name!r}, expected letters, digits, '.', '_' and '-'; choose another"
    )
    assert not (folder / "kit").exists()


def test_the_next_export_keeps_to_the_sizes_of_the_running_server(kit: Path, folder: Path) -> None:
    own = "# mine\nmax_batch_size { value: 5 }\nallowed_batch_sizes: [2, 5]\nbatch_timeout_micros { value: 500 }\n"
    (kit / "batching_parameters.txt").write_text(own)
    (kit / "docker-compose.override.yml").write_text("services: {}")
    (kit / "models.config").write_text("altered")
    made_export(folder, 2)
    sizes = allowed_batch_sizes(folder, GOLDEN)
    assert sizes == (2, 5)
    for request in read_warmup_requests(warmup_requests("nmt", folder / "2", GOLDEN, sizes)):
        assert len(request.inputs["text"].string_val) in sizes
    assert write_kit(folder, GOLDEN, CEILINGS) == kit
    assert (kit / "batching_parameters.txt").read_text() == own
    assert (kit / "docker-compose.override.yml").read_text() == "services: {}"
    assert "altered" not in (kit / "models.config").read_text()
    assert "at most 5 texts, after at most 0.5 ms" in (kit / "README.md").read_text(encoding="utf-8")


def test_the_sizes_of_a_first_export(tmp_path: Path, kit: Path, folder: Path) -> None:
    assert allowed_batch_sizes(tmp_path / "nowhere", GOLDEN) == allowed_batch_sizes(folder, GOLDEN)


def test_a_large_model_gets_the_memory_for_two(tmp_path: Path) -> None:
    folder = made_export(tmp_path, 1)
    with (folder / "1" / "variables").open("r+b") as file:
        file.truncate(1 << 30)  # without taking a place on the disk
    assert compose(write_kit(folder, GOLDEN, CEILINGS))["mem_limit"] == "8g"


def test_an_unknown_tensorflow(tmp_path: Path) -> None:
    folder = made_export(tmp_path, 1, model=saved_model(tensorflow="unknown"))
    with pytest.raises(OutputError) as caught:
        write_kit(folder, GOLDEN, CEILINGS)
    assert str(caught.value) == (
        f"{folder / '1' / 'saved_model.pb'}: written by TensorFlow 'unknown', expected a version such as 2.21.0; "
        f"export the run anew"
    )
    assert not (folder / "kit").exists()


def test_a_killed_writer_leaves_whole_files(kit: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: (kit / name).read_bytes() for name in FILES}
    replace = os.replace
    for allowed in range(5):
        done = 0

        def stopping(*arguments: Any) -> None:
            nonlocal done
            if done == allowed:  # noqa: B023
                raise KeyboardInterrupt
            done += 1
            replace(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(atomic_files.os, "replace", stopping)
            if allowed < 4:
                with pytest.raises(KeyboardInterrupt):
                    write_kit(folder, GOLDEN, CEILINGS)
            else:
                write_kit(folder, GOLDEN, CEILINGS)
        assert {name: (kit / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize("template", ["# $settings", "", "$settings\nmodel_config_list { config { name: 'x' } }"])
def test_an_altered_template(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(kit_module._TEMPLATES, templates)
    (templates / "models.config").write_text(template)
    monkeypatch.setattr(kit_module, "_TEMPLATES", templates)
    with pytest.raises(OutputError) as caught:
        write_kit(folder, GOLDEN, CEILINGS)
    assert str(caught.value) == (
        f"{templates / 'models.config'}: with the settings in it, it says something else than they do; "
        f"the template is altered, install this package anew"
    )
    assert not (folder / "kit").exists()


def test_a_folder_that_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no export here"):
        write_kit(tmp_path, GOLDEN, CEILINGS)
