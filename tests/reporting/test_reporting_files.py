"""Files are wholly there or not at all, never through a link, and their JSON is valid."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import HOSTILE, page_with

from initlab.errors import InputError
from initlab.reporting import atomic_write, check_output, file_name, json_text, save_page, to_plotly, write_json
from initlab.reporting.blocks import Series
from initlab.reporting.html import script_json


def directory(folder: Path) -> Path:
    (folder / "x.html").mkdir()
    return folder / "x.html"


def link(folder: Path) -> Path:
    (folder / "target.html").write_text("precious", encoding="utf-8")
    (folder / "x.html").symlink_to(folder / "target.html")
    return folder / "x.html"


def dangling(folder: Path) -> Path:
    (folder / "x.html").symlink_to(folder / "nowhere")
    return folder / "x.html"


def read_only(folder: Path) -> Path:
    (folder / "x.html").write_text("precious", encoding="utf-8")
    (folder / "x.html").chmod(0o444)
    return folder / "x.html"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "x.html")
    return folder / "x.html"


def no_folder(folder: Path) -> Path:
    return folder / "missing" / "x.html"


def folder_is_a_file(folder: Path) -> Path:
    (folder / "file").write_text("precious", encoding="utf-8")
    return folder / "file" / "x.html"


def in_proc(folder: Path) -> Path:
    return Path("/proc/x.html")


def null_byte(folder: Path) -> Path:
    return folder / "x\0.html"


def too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (directory, "is a directory"),
        (link, "symbolic link"),
        (dangling, "symbolic link"),
        (read_only, "read-only"),
        (fifo, "no ordinary file"),
        (no_folder, "does not exist"),
        (folder_is_a_file, "cannot be written"),
        (in_proc, "the folder '/proc' cannot be written"),
        (null_byte, "null"),
        (too_long, "too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    path = make(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(InputError, match=words) as caught:
        atomic_write(path, "new")
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert all(p.read_text() == "precious" for p in tmp_path.iterdir() if p.is_file() and not p.is_symlink())


def test_an_existing_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    write_json({"a": 1}, path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_text("old", encoding="utf-8")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_json({"a": 1}, path)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_check_output_allows_a_new_and_an_existing_file(tmp_path: Path) -> None:
    assert check_output(tmp_path / "new.html") == tmp_path / "new.html"
    assert not (tmp_path / "new.html").exists()


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    name: str


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array([1.0, math.nan]), [1.0, "NaN"]),
        (torch.tensor([[1, 2]]), [[1, 2]]),
        (torch.tensor(2.5), 2.5),
        (Point(math.inf, "a"), {"x": "Infinity", "name": "a"}),
        ({1: (True, None)}, {"1": [True, None]}),
        ({"b", "a"}, ["a", "b"]),
        (Path("a") / "b", "a/b"),
        (range(3), [0, 1, 2]),
        ({}, {}),
    ],
)
def test_json_is_valid_for_every_value(value: object, expected: object) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert json.loads(json_text(value), parse_constant=refuse) == expected


def test_json_within_a_script_element_cannot_end_it() -> None:
    text = script_json([*HOSTILE, dict.fromkeys(HOSTILE, 1)])
    assert not set("<>&") & set(text)
    assert json.loads(text)[: len(HOSTILE)] == list(HOSTILE)


def test_json_holds_no_character_that_a_reader_obeys() -> None:
    assert all(32 <= ord(c) < 127 or c == "\n" for c in json_text(list(HOSTILE)))


@pytest.mark.parametrize("name", [*HOSTILE, "../../x", "/etc/passwd", "", ".", "..", "con", "🙂" * 300, "a/b", "a\\b"])
def test_file_names_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    made = file_name(name) + ".html"
    path = tmp_path / made
    assert path.resolve().parent == tmp_path.resolve()
    atomic_write(path, "x")
    assert len(made) < 120


def test_different_names_get_different_files() -> None:
    names = ["a/b", "a-b", "a b", "a\nb", "A/B", *HOSTILE]
    assert len({file_name(n) for n in names}) == len(names)


def test_reports_are_the_same_bytes_for_the_same_page(tmp_path: Path) -> None:
    first, second = save_page(page_with(), tmp_path / "a.html"), save_page(page_with(), tmp_path / "b.html")
    assert first.read_bytes() == second.read_bytes()


def test_a_page_without_figures_carries_no_plotly(tmp_path: Path) -> None:
    from initlab.reporting import Page, Section, Text

    path = save_page(Page("T", "", [Section("S", [Text("words")])]), tmp_path / "a.html")
    assert path.stat().st_size < 50_000
    text = path.read_text(encoding="utf-8")
    assert "plotly" not in text.lower()
    assert text.count("<script>") == 1  # the switch of languages


def test_figures_are_plotly_figures() -> None:
    import plotly.graph_objects as go

    for block in page_with().sections[1].blocks[:5]:
        assert isinstance(to_plotly(block), go.Figure)  # type: ignore[arg-type]  # the first five blocks are figures


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"y": [1]}, "y has 1 values for 2 in x"),
        ({"y": [1, 2], "low": [1]}, "low has 1 values"),
        ({"y": [1, 2], "labels": ["a"]}, "labels has 1 values"),
    ],
)
def test_series_check_their_lengths(fields: dict[str, list[float]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Series("s", [1, 2], **fields)  # type: ignore[arg-type]  # the table mixes numbers and labels


def test_long_lines_keep_their_extremes() -> None:
    from initlab.reporting import LineFigure
    from initlab.reporting.figures import MAX_POINTS, plotly_dict

    y = [0.0] * 50_000
    y[31_234], y[777] = 9.0, -9.0
    trace = plotly_dict(LineFigure("T", "x", "y", [Series("s", range(50_000), y)]), titled=False)["data"][0]
    assert len(trace["x"]) <= MAX_POINTS + 2
    assert (max(trace["y"]), min(trace["y"])) == (9.0, -9.0)


def test_a_log_axis_leaves_gaps_where_there_is_no_logarithm() -> None:
    from initlab.reporting import LineFigure
    from initlab.reporting.figures import plotly_dict

    series = Series("s", range(5), [1.0, 0.0, -1.0, math.nan, None])
    trace = plotly_dict(LineFigure("T", "x", "y", [series], log_y=True), titled=False)["data"][0]
    assert trace["y"] == [1.0, None, None, None, None]
