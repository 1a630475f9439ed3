"""Search trees as pictures: no two lines cross, every kind of node is told apart, any script."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.search_tree import Fate, Method, SearchNode, SearchTree
from nmt.search_tree_plot import search_tree_plot
from textseq.errors import InputError


def node(parent: int, step: int, piece: str, log_probability: float, fate: Fate = "live", draws: int = 0) -> SearchNode:
    return SearchNode(parent, step, 9, piece, -0.1, log_probability, log_probability / max(step, 1), fate, draws)


def made(method: Method = "beam search", source: str = "Good day.") -> SearchTree:
    draws = 1 if method == "sampling" else 0
    nodes = (
        node(-1, 0, "", 0.0, "start"),
        node(0, 1, "▁Guten", -0.1, draws=2 * draws),
        node(0, 1, "▁Tag", -0.9, draws=draws),
        node(0, 1, "$x$ Ж", -2.0, "live" if draws else "dropped", draws),
        # The best of step 2 comes from the second of step 1.
        node(2, 2, "▁auch", -1.0, draws=draws),
        node(1, 2, "</s>", -1.5, "finished", draws),
        node(1, 2, "▁Tag", -1.6, "live" if draws else "dropped", draws),
    )
    return SearchTree(nodes, (5,), method, 2, source, ("Guten",))


def labels(tree: SearchTree, dropped: bool = True) -> dict[str, tuple[float, float]]:
    texts = search_tree_plot(tree, dropped=dropped).axes[0].texts
    return {text.get_text(): text.xy for text in texts if hasattr(text, "xy")}


def written(tree: SearchTree, dropped: bool = True) -> str:
    return "\n".join(text.get_text() for text in search_tree_plot(tree, dropped=dropped).axes[0].texts)


def test_tokens_and_log_probabilities_stand_on_the_nodes() -> None:
    found = labels(made())
    assert set(found) == {
        "start", "▁Guten\n-0.10", "▁Tag\n-0.90", "$x$ Ж\n-2.00", "▁auch\n-1.00", "</s> ★\n-1.50\nscore -0.75",
        "▁Tag\n-1.60",
    }  # fmt: skip
    # Steps run from the top down.
    assert found["start"] == (0, 0)
    assert {place[1] for text, place in found.items() if "-0.90" in text or "-2.00" in text} == {-1}


def test_no_two_lines_cross() -> None:
    found = labels(made())
    # Children stand in the order of their parents, though the best of them comes from the lower one.
    assert found["</s> ★\n-1.50\nscore -0.75"][0] < found["▁Tag\n-1.60"][0] < found["▁auch\n-1.00"][0]
    assert found["▁Guten\n-0.10"][0] < found["▁Tag\n-0.90"][0] < found["$x$ Ж\n-2.00"][0]


def test_the_winner_is_thick_and_the_dropped_are_grey() -> None:
    axes = search_tree_plot(made()).axes[0]
    assert len(axes.lines) == 6
    assert sorted(line.get_linewidth() for line in axes.lines) == [1.0, 1.0, 1.6, 1.6, 4.0, 4.0]
    grey = [text for text in axes.texts if text.get_text().startswith("$x$")]
    assert {text.get_color() for text in grey} == {"#767676"}
    assert len([text for text in axes.texts if "★" in text.get_text()]) == 2  # a frame within a frame


def test_what_was_dropped_can_be_left_out() -> None:
    found = labels(made(), dropped=False)
    assert len(found) == 5
    assert "grey: dropped" not in written(made(), dropped=False)
    assert "grey: dropped" in written(made())


def test_draws_are_thick_and_counted() -> None:
    tree = made("sampling")
    axes = search_tree_plot(tree).axes[0]
    assert "▁Guten\n-0.10  ×2" in labels(tree)
    assert max(line.get_linewidth() for line in axes.lines) == pytest.approx(6.2)
    assert not any("★" in text.get_text() for text in axes.texts)
    assert "Sampling, 2 draws: Good day." in written(tree)
    assert "winner" not in written(tree)


def test_titles() -> None:
    assert "Beam search, beam 2: Good day." in written(made())
    assert "Greedy search: Good day." in written(made("greedy search"))
    assert "Beam search" not in written(made(source=""))


def test_a_file_and_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "tree.png"
    made().plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert made()._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"tree\.gif: received the ending '\.gif'"):
        made().plot(tmp_path / "tree.gif")
