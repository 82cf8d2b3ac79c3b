"""Data named by a word: what each kind of source gives, and one line for what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from initlab.data import flattened, named
from initlab.errors import InputError

ROWS = "a,b,species\n" + "".join(f"{i}.5,{i % 3},{('ant', 'bee')[i % 2]}\n" for i in range(20))


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def all_rows(split: object) -> torch.Tensor:
    return torch.cat([split.train[0], split.test[0]])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("comma.csv", ROWS),
        ("semicolon.csv", ROWS.replace(",", ";")),
        ("tab.tsv", ROWS.replace(",", "\t")),
        ("windows.csv", "\ufeff" + ROWS.replace("\n", "\r\n")),
        ("counted.csv", "\n".join((f"{i - 1}," if i else ",") + row for i, row in enumerate(ROWS.splitlines())) + "\n"),
    ],
)
def test_a_table_gives_its_numbers_and_the_words_of_its_classes(tmp_path: Path, name: str, text: str) -> None:
    split = named(write(tmp_path / name, text), target="species")
    assert (len(split.train[0]), len(split.test[0]), split.classes) == (16, 4, ("ant", "bee"))
    rows, labels = all_rows(split), torch.cat([split.train[1], split.test[1]])
    assert sorted(rows[:, 0].tolist()) == [i + 0.5 for i in range(20)]
    assert torch.equal(labels, (rows[:, 0] - 0.5).long() % 2)


@pytest.mark.parametrize(("head", "kind"), [("target", torch.int64), ("Label", torch.int64), ("y", torch.float32)])
def test_the_target_has_a_usual_name_and_keeps_its_kind(tmp_path: Path, head: str, kind: torch.dtype) -> None:
    value = "{}.5" if kind is torch.float32 else "{}"
    text = f"x,{head}\n" + "".join(f"{i},{value.format(i % 3)}\n" for i in range(10))
    assert named(write(tmp_path / "t.csv", text)).train[1].dtype is kind


def test_rows_that_are_sorted_by_class_are_mixed(tmp_path: Path) -> None:
    text = "x,label\n" + "".join(f"{i},{i // 20}\n" for i in range(60))
    split = named(write(tmp_path / "sorted.csv", text))
    assert set(split.train[1][:20].tolist()) == {0, 1, 2} == set(split.test[1].tolist())
    again = named(str(tmp_path / "sorted.csv"))
    assert torch.equal(split.train[0], again.train[0])


BAD_TABLES = [
    ("x,z\n1,2\n", None, "say which is to be predicted: --target NAME"),
    ("x,label\n1,2\n", "lable", "did you mean 'label'"),
    ("x,label\n1,2\n,3\n", None, "'x' has no value in row 2"),
    ("x,town,label\n" + "1,Ulm,2\n" * 6, None, "'town' holds words, such as 'Ulm'"),
    ("x,x,label\n1,2,3\n", None, "two columns called 'x'"),
    ("label\n1\n", None, "0 columns beside 'label'"),
    ("x,label\n", None, "0 rows"),
    ("x,label\n1,2\n3,4\n", None, "at least 5"),
    ("x,label\n1,2,3,4\n1,2\n", None, "cannot be read|has no value"),
    ('x,label\n"1,2\n', None, "cannot be read|no value"),
    ("\x00\x01\x02", None, "cannot be read|say which"),
]


@pytest.mark.parametrize(("text", "target", "words"), BAD_TABLES)
def test_a_table_that_cannot_be_meant_is_one_line(tmp_path: Path, text: str, target: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        named(write(tmp_path / "t.csv", text), target=target)
    assert "\n" not in str(refused.value)


def test_a_table_that_is_no_utf8_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("x,label\né,1\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read"):
        named(str(tmp_path / "t.csv"))


def test_arrays_give_the_one_that_is_named_as_the_target(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pixels=np.ones((10, 4)), digit=np.arange(10) % 3)
    split = named(str(tmp_path / "a.npz"), target="digit", shape=(1, 2, 2))
    assert split.train[0].shape == (8, 1, 2, 2)
    with pytest.raises(InputError, match="X and Y"):
        named(str(tmp_path / "a.npz"))
    with pytest.raises(InputError, match="did you mean 'digit'"):
        named(str(tmp_path / "a.npz"), target="digits")


def test_labels_in_an_array_file_are_coded_alike_in_both_parts(tmp_path: Path) -> None:
    labels = np.array(["owl", "cat", "owl", "fox", "cat"])
    np.savez(
        tmp_path / "a.npz", x_train=np.arange(5.0)[:, None], y_train=labels, x_test=np.ones((1, 1)), y_test=labels[:1]
    )
    split = named(str(tmp_path / "a.npz"))
    assert split.classes == ("cat", "fox", "owl")
    assert split.train[1][split.train[0][:, 0].argsort()].tolist() == [2, 0, 2, 1, 0]
    assert split.test[1].tolist() == [2]
    np.savez(tmp_path / "b.npz", X=np.ones((5, 1)), Y=labels.astype(object))
    with pytest.raises(InputError, match=r"labels.astype\(str\)"):
        named(str(tmp_path / "b.npz"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("digts", "did you mean 'digits'"),
        ("here/irs.csv", r"did you mean 'here/iris.csv'"),
        ("here/iris.cvs", r"did you mean 'here/iris.csv'"),
        ("here/notes.txt", "known: digits, here/iris.csv, mnist"),
        ("nowhere/x.npz", "No such file"),
    ],
)
def test_a_wrong_name_gets_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    (tmp_path / "here").mkdir()
    for name in ("iris.csv", "notes.txt"):
        write(tmp_path / "here" / name, ROWS)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        named(text)


def test_a_shape_must_hold_as_many_numbers() -> None:
    with pytest.raises(InputError, match="1x8x8, 64 numbers, and the shape 3x8x8 asks for 192"):
        named("digits", shape=(3, 8, 8))
    with pytest.raises(InputError, match="--target"):
        named("digits", target="label")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of ten grey pictures, 6 rows of 4 pixels, the second class the brighter."""
    image = pytest.importorskip("PIL.Image", reason="Pillow, the extra `images`, is not installed")
    for place, name in enumerate(("cat", "dog")):
        (tmp_path / "pets" / name / "more").mkdir(parents=True)
        for i in range(10):
            pixels = np.full((6, 4), 100 * place + i, dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / "pets" / name / ("more" if i % 2 else "") / f"{i}.png")
    (tmp_path / "pets" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("none", encoding="utf-8")
    return tmp_path / "pets"


def test_a_folder_of_images_names_its_classes(pictures: Path) -> None:
    split = named(str(pictures))
    assert (split.train[0].shape, len(split.test[0]), split.classes) == ((16, 1, 6, 4), 4, ("cat", "dog"))
    bright = split.train[0].mean(dim=(1, 2, 3))
    assert torch.equal(bright > 0, split.train[1] == 1)
    assert split.train[0].mean().item() == pytest.approx(0, abs=1e-5)  # normalized by the training pixels
    assert split.train[0].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert flattened(split).train[0].shape == (16, 24)


def test_images_are_scaled_to_the_shape_that_is_asked_for(pictures: Path) -> None:
    assert named(str(pictures), shape=(3, 8, 8)).train[0].shape == (16, 3, 8, 8)
    with pytest.raises(InputError, match="1 or 3 channels"):
        named(str(pictures), shape=(2, 8, 8))


def test_train_and_test_folders_are_the_two_parts(pictures: Path) -> None:
    root = pictures.parent / "both"
    root.mkdir()
    (root / "train").symlink_to(pictures)
    (root / "test").symlink_to(pictures)
    split = named(str(root))
    assert (len(split.train[0]), len(split.test[0])) == (20, 20)


def test_images_that_cannot_be_meant_are_one_line(pictures: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (pictures / "dog" / "x.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cut, broken or none"):
        named(str(pictures))
    image.new("L", (9, 9)).save(pictures / "dog" / "x.png")
    with pytest.raises(InputError, match=r"6x4 and .* 9x9; .*--input 3x6x4"):
        named(str(pictures))
    image.new("I;16", (4, 6)).save(pictures / "dog" / "x.png")
    with pytest.raises(InputError, match="more than 8 bits"):
        named(str(pictures))
    with pytest.raises(InputError, match="has no images"):
        named(str(pictures / "cat" / "more"))
