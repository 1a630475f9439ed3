"""A folder from a stranger is looked at before it is believed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textseq.serving.native import folder
from textseq.serving.native.folder import FolderRefused, check_folder, read_model
from textseq.serving.native.messages import MetaGraphDef, SavedModel


def model(**fields: Any) -> bytes:
    graph = MetaGraphDef(meta_info_def={"tags": ["serve"]}, **fields)
    return bytes(SavedModel(saved_model_schema_version=1, meta_graphs=[graph]).SerializeToString())


@pytest.fixture
def version(tmp_path: Path) -> Path:
    place = tmp_path / "model" / "1"
    (place / "variables").mkdir(parents=True)
    (place / "saved_model.pb").write_bytes(model())
    (place / "variables" / "variables.index").write_bytes(b"index")
    return place


def test_a_model(version: Path, small_model: Path) -> None:
    check_folder(version)
    check_folder(str(small_model))


def test_a_link_inside(version: Path) -> None:
    (version / "assets.extra").mkdir()
    (version / "assets.extra" / "index").symlink_to("../variables/variables.index")
    check_folder(version)
    # The version itself may be a link, to another version.
    (version.parent / "2").symlink_to("1")
    check_folder(version.parent / "2")


def test_a_version_that_is_a_link_to_elsewhere(version: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "1"
    link.symlink_to(version)
    with pytest.raises(FolderRefused, match=r"other/1: a link to elsewhere; expected a folder, or a link to another"):
        check_folder(link)


def a_link_to_a_file(place: Path) -> None:
    (place / "variables" / "variables.index").unlink()
    (place / "variables" / "variables.index").symlink_to("/etc/passwd")


def a_link_to_the_folder_above(place: Path) -> None:
    (place / "assets").symlink_to("..")


def a_link_to_a_folder_of_a_similar_name(place: Path) -> None:
    (place.parent / "11").mkdir()
    (place / "assets").symlink_to("../11")


def links_in_a_row(place: Path) -> None:
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("/etc")


def a_broken_link(place: Path) -> None:
    (place / "a").symlink_to("nothing")


def links_in_a_circle(place: Path) -> None:
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")


def a_pipe(place: Path) -> None:
    os.mkfifo(place / "variables" / "variables.data-00000-of-00001")


def a_graph_that_is_a_pipe(place: Path) -> None:
    (place / "saved_model.pb").unlink()
    os.mkfifo(place / "saved_model.pb")


def no_graph(place: Path) -> None:
    (place / "saved_model.pb").unlink()


def a_graph_that_is_a_folder(place: Path) -> None:
    no_graph(place)
    (place / "saved_model.pb").mkdir()


def a_second_graph(place: Path) -> None:
    (place / "saved_model.pbtxt").write_text("")


def graph(content: bytes) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        (place / "saved_model.pb").write_bytes(content)

    change.__name__ = f"graph of {len(content)} bytes"
    return change


def asset(name: str) -> Callable[[Path], None]:
    return graph(model(asset_file_def=[{"filename": name}]))


def nested(depth: int) -> bytes:
    """A message in a message in a message: a function's attribute whose function has an attribute."""
    content = b""
    for _ in range(depth):
        content = b"\x0a" + _varint(len(content)) + content
    return content


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


TWO = SavedModel(meta_graphs=[{"meta_info_def": {"tags": ["serve"]}}, {"meta_info_def": {"tags": ["train"]}}])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shutil.rmtree, r"1: not a folder; expected a version of a model, with saved_model.pb in it"),
        (a_link_to_a_file, r"variables.index: a link to /etc/passwd, expected nothing outside of .*/1$"),
        (a_link_to_the_folder_above, r"assets: a link to .*model, expected nothing outside of .*/1$"),
        (a_link_to_a_folder_of_a_similar_name, r"assets: a link to .*model/11, expected nothing outside of .*/1$"),
        (links_in_a_row, r"[ab]: a link to /etc, expected nothing outside of .*/1$"),
        (a_broken_link, r"a: cannot be read: No such file"),
        (links_in_a_circle, r"[ab]: cannot be read: Too many levels"),
        (a_pipe, r"of-00001: neither a file nor a folder, expected nothing else in a model"),
        (a_graph_that_is_a_pipe, r"saved_model.pb: neither a file nor a folder"),
        (no_graph, r"saved_model.pb: cannot be read: No such file or directory; expected the graph of a model"),
        (a_graph_that_is_a_folder, r"saved_model.pb: cannot be read: Is a directory"),
        (a_second_graph, r"saved_model.pbtxt: a second graph; expected saved_model.pb alone"),
        (graph(b"\xff" * 10), r"saved_model.pb: broken: no SavedModel can be read from its 10 bytes"),
        (graph(model()[:-3]), r"saved_model.pb: broken: "),
        (graph(b"\x12" + _varint(9) + b"\x12\x07\x12\x05\x0a\xff\xff\xff\x0f"), r"saved_model.pb: broken: "),
        (graph(b""), r"saved_model.pb: received graphs tagged \[\], expected one, tagged \['serve'\]"),
        (graph(TWO.SerializeToString()), r"received graphs tagged \[\['serve'\], \['train'\]\], expected one"),
        (asset("/etc/passwd"), r"saved_model.pb: names the asset '/etc/passwd', expected a file in .*assets"),
        (asset("../../secret"), r"saved_model.pb: names the asset '../../secret', expected"),
        (asset("a/../../b"), r"names the asset"),
        (asset("..\\b"), r"names the asset"),
        (asset(""), r"names the asset ''"),
        (graph(model(collection_def={"saved_model_assets": {}})), r"names its assets as TensorFlow 1 did"),
    ],
)
def test_what_is_refused(version: Path, change: Callable[[Path], None], words: str) -> None:
    change(version)
    with pytest.raises(FolderRefused, match=words) as caught:
        check_folder(version)
    assert "\n" not in str(caught.value)


def test_an_asset_inside(version: Path) -> None:
    asset("words.txt")(version)
    check_folder(version)


def test_a_graph_that_nests_too_deep(version: Path) -> None:
    # Field 8 of AttrValue.func.attr's value ...: deep enough to break a parser that follows without counting.
    attribute = b""
    for _ in range(5000):
        function = (
            b"\x12"
            + _varint(len(attribute) + len(_varint(len(attribute))) + 1)
            + (b"\x12" + _varint(len(attribute)) + attribute)
        )
        attribute = b"\x52" + _varint(len(function)) + function
    entry = b"\x12" + _varint(len(attribute)) + attribute
    node = b"\x2a" + _varint(len(entry)) + entry
    graph_def = b"\x0a" + _varint(len(node)) + node
    meta_graph = b"\x12" + _varint(len(graph_def)) + graph_def
    (version / "saved_model.pb").write_bytes(b"\x12" + _varint(len(meta_graph)) + meta_graph)
    with pytest.raises(FolderRefused, match=r"saved_model.pb: broken"):
        check_folder(version)


def test_sizes(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(version / "variables" / "variables.data-00000-of-00001", "wb") as file:
        file.truncate(folder.LARGEST_FOLDER + 1)  # a hole, which takes no room
    with pytest.raises(FolderRefused, match=rf"holds \d+ bytes, expected at most {folder.LARGEST_FOLDER}"):
        check_folder(version)
    (version / "variables" / "variables.data-00000-of-00001").unlink()
    with open(version / "saved_model.pb", "ab") as file:
        file.truncate(folder.LARGEST_GRAPH + 1)
    monkeypatch.setattr(folder, "LARGEST_GRAPH", 100)
    with pytest.raises(FolderRefused, match=r"saved_model.pb: larger than 0 MiB, expected the graph of a model"):
        check_folder(version)
    monkeypatch.setattr(folder, "MOST_FILES", 2)
    with pytest.raises(FolderRefused, match=r"1: holds more than 2 files, expected the few of a model"):
        check_folder(version)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(version: Path, content: bytes) -> None:
    (version / "saved_model.pb").write_bytes(content)
    try:
        check_folder(version)
    except FolderRefused as error:
        assert str(version) in str(error)


def test_read_model(version: Path) -> None:
    assert list(read_model(version).meta_graphs[0].meta_info_def.tags) == ["serve"]
