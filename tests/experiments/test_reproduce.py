"""Experiments run in their small form, resume from stored parts, and write reports."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torch import nn

import initlab
from initlab import data
from initlab.experiments import Outcome, get_experiment, list_experiments, run, run_all
from initlab.experiments.lab import Lab
from initlab.experiments.literature import from_folder, keep
from initlab.experiments.training import train
from initlab.experiments.view import save_all

# Experiment -> the verdicts of its small form at root seed 0. Written by
# `python -m benchmarks.literature_seeds --verdicts tests/experiments/small_verdicts.json`.
VERDICTS = json.loads((Path(__file__).parent / "small_verdicts.json").read_text())


def test_every_listed_experiment_loads_and_agrees_with_its_name() -> None:
    for name in list_experiments():
        experiment = get_experiment(name)
        assert experiment.name == name
        assert experiment.claims, name
        assert all(claim.text.endswith((".", ")")) and claim.source for claim in experiment.claims), name


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(initlab.InputError, match="did you mean 'lecun-std'"):
        run("lecun-stdd")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", list_experiments())
def test_a_small_run_judges_every_claim(name: str, tmp_path: Path) -> None:
    """Against the verdicts kept: another processor's rounding may leave half open, and must not turn one round."""
    outcome = run(name, small=True, seed=0)
    assert len(outcome.judged) == len(outcome.experiment.claims)
    found = {claim.text: judgement.verdict for claim, judgement in outcome.judged}
    assert set(found) == set(VERDICTS[name])
    turned = [text for text, verdict in found.items() if {verdict, VERDICTS[name][text]} == {"confirmed", "refuted"}]
    assert not turned
    assert sum(found[text] != verdict for text, verdict in VERDICTS[name].items()) <= max(1, len(found) // 2)
    assert all(len(line) <= 80 for line in repr(outcome).splitlines())
    outcome.save(tmp_path / "report.html")
    saved = json.loads(outcome.save(tmp_path / "report.json").read_text())
    assert [c["verdict"] for c in saved["claims"]] == [j.verdict for _, j in outcome.judged]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    first, again, other = (run("lecun-std", small=True, seed=seed) for seed in (0, 0, 1))
    assert first.results == again.results
    assert first.results != other.results


def test_runs_that_cannot_be_stacked_train_one_after_another() -> None:
    widths = iter(range(4, 100))  # workers are handed it pickled, which Python 3.14 refuses of a count

    def unlike() -> nn.Module:
        """A width that differs from run to run: nothing to stack."""
        width = next(widths)
        return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    notes: list[str] = []
    trained = train(
        Lab(small=True, note=notes.append), "unlike", build=unlike, data=data.digits(), starts={"as built": None},
        seeds=4, optimizer="sgd", lr=0.1, batch_size=32, steps=2,
    )  # fmt: skip
    assert [[step for step, _ in run["loss"]] for run in trained["as built"]] == [[1, 2]] * 4
    assert notes == ["unlike"], "a person is told the part's name, not all that its result depends on"


@pytest.fixture(scope="module")
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, list[str]]:
    """A run whose parts are in a folder, and what it said."""
    folder, notes = tmp_path_factory.mktemp("stored"), []
    return folder, run("zero-constant-symmetry", small=True, folder=folder, note=notes.append), notes


def test_stored_parts_are_not_run_again(stored_run: tuple[Path, Outcome, list[str]], tmp_path: Path) -> None:
    folder, first, told = stored_run
    notes = list(told)
    assert len(notes) == len(first.results)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    again = run("zero-constant-symmetry", small=True, folder=tmp_path, note=notes.append)
    assert all(note.endswith(": kept from an earlier run") for note in notes[len(first.results) :])
    assert len(notes) == 2 * len(first.results)
    assert again.results == first.results
    assert not again.reused
    stored = next((tmp_path / "zero-constant-symmetry").glob("*.json"))
    stored.write_text("{")
    with pytest.raises(initlab.InputError, match="delete it"):
        run("zero-constant-symmetry", small=True, folder=tmp_path)


def test_parts_that_other_code_made_are_said(stored_run: tuple[Path, Outcome, list[str]], tmp_path: Path) -> None:
    folder, first, _ = stored_run
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    stored = sorted((tmp_path / "zero-constant-symmetry").glob("*.json"))
    for path in stored:
        part = json.loads(path.read_text())
        path.write_text(json.dumps({**part, "made by": {**part["made by"], "code": "0123456789ab"}}))
    notes: list[str] = []
    again = run("zero-constant-symmetry", small=True, folder=tmp_path, note=notes.append)
    assert again.results == first.results
    assert "code 0123456789ab" in again.reused
    assert len(notes) == len(stored)
    for shown in (notes[0], again.text(400), again.save(tmp_path / "one.html").read_text(), again.to_dict()["reused"]):
        assert "code 0123456789ab" in shown
    stored[0].write_text(json.dumps(part["value"]))  # as before parts said it
    assert "did not say" in run("zero-constant-symmetry", small=True, folder=tmp_path).reused


def test_the_index_and_the_literature_page_hold_every_claim(tmp_path: Path) -> None:
    outcomes = list(run_all(["why-two-why-six", "lecun-std"], small=True))
    for done in range(1, len(outcomes) + 1):
        index = save_all(outcomes[:done], tmp_path).read_text()
    page = from_folder(tmp_path)
    for outcome in outcomes:
        assert outcome.experiment.title in index.replace("&#39;", "'")
        for claim, judgement in outcome.judged:
            assert claim.text.replace("|", "\\|") in page
            assert f"**{judgement.verdict}**" in page


def test_experiments_run_in_the_workers_of_an_executor() -> None:
    with ThreadPoolExecutor(1) as executor:
        there = list(run_all(["lecun-std", "why-two-why-six"], small=True, executor=executor))
    assert [outcome.experiment.name for outcome in there] == ["lecun-std", "why-two-why-six"]
    assert there[0].to_dict()["results"] == run("lecun-std", small=True).to_dict()["results"]


def test_a_folder_is_the_callers_wherever_workers_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    with ThreadPoolExecutor(1, initializer=os.chdir, initargs=(there,)) as executor:
        assert len(list(run_all(["lecun-std"], small=True, folder="parts", executor=executor))) == 1
    assert (here / "parts" / "lecun-std").is_dir()
    assert not list(there.iterdir())


def test_a_small_form_does_not_replace_a_kept_full_one(tmp_path: Path) -> None:
    kept, runs = tmp_path / "kept", tmp_path / "runs"
    kept.mkdir()
    outcomes = list(run_all(["why-two-why-six", "lecun-std"], small=True))
    for done in (1, 2):
        save_all(outcomes[:done], runs)
    full = {**json.loads((runs / "lecun-std.json").read_text()), "small": False, "title": "the full one"}
    (kept / "lecun-std.json").write_text(json.dumps(full))
    assert keep(runs, kept) == ["why-two-why-six"]
    assert json.loads((kept / "lecun-std.json").read_text())["title"] == "the full one"
    taken = json.loads((kept / "why-two-why-six.json").read_text())
    assert "results" not in taken
    assert taken["claims"]
    (runs / "lecun-std.json").write_text(json.dumps({**full, "title": "a newer full one"}))
    assert keep(runs, kept) == ["why-two-why-six", "lecun-std"]
    assert "a newer full one" in from_folder(kept)


def test_the_page_is_what_the_kept_outcomes_say_of_the_claims_as_they_stand() -> None:
    docs = Path(__file__).parents[2] / "docs"
    assert (docs / "literature.md").read_text() == from_folder(docs / "outcomes")
    for name in list_experiments():
        outcome = json.loads((docs / "outcomes" / f"{name}.json").read_text())
        assert [claim["text"] for claim in outcome["claims"]] == [claim.text for claim in get_experiment(name).claims]


def test_an_experiment_repeats_itself_bit_for_bit(stored_run: tuple[Path, Outcome, list[str]]) -> None:
    again = run("zero-constant-symmetry", small=True)
    assert json.dumps(stored_run[1].to_dict()["results"]) == json.dumps(again.to_dict()["results"])
