"""Pages in Korean: one table of words, one switch, and no English left on the pages of every kind of result."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import headless
import pytest
from axe import serious
from every_page import RESULTS

from initlab import experiments, reporting
from initlab.inspection.features import FEATURES
from initlab.inspection.verdict import FACTS
from initlab.reporting import Callout, Column, LineFigure, Page, Section, Series, Table, save_page
from initlab.reporting.html import to_html
from initlab.reporting.korean import dictionary, korean, texts
from initlab.reporting.shown import page_of

FILES = Path(reporting.__file__).parent.glob("korean*.toml")
TABLES = [table for file in FILES for table in tomllib.loads(file.read_text(encoding="utf-8")).values()]
ENTRIES = [pair for table in TABLES for pair in table.items()]
WORDS = [
    *(fact.words for fact in FACTS.values()),
    *(feature.words for feature in FEATURES),
    *(feature.unless for feature in FEATURES if feature.unless),
]
ENGLISH = re.compile(r"[A-Za-z][a-z]+(?: [a-z]+)+")


def test_an_entry_says_all_that_its_english_says_and_stands_once() -> None:
    def filled(english: str, said: str) -> bool:
        holes = range(len(re.findall(r"\{[+=]?\}", english)))
        return {int(place) for place in re.findall(r"\{(\d)\}", said)} == set(holes)

    assert [pair for pair in ENTRIES if not filled(*pair)] == []
    assert [english for english, count in Counter(english for english, _ in ENTRIES).items() if count > 1] == []


@pytest.mark.parametrize("words", WORDS)
def test_what_moves_a_verdict_is_said_in_korean(words: str) -> None:
    assert not ENGLISH.search(korean(words.format("0.1")))


def test_what_an_experiment_cannot_tell_and_what_it_draws_is_said_in_korean() -> None:
    shown, left = {"Column", "Judgement", "curves", "only_full"}, []
    for file in Path(experiments.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in shown:
                words = [one.value for one in call.args if isinstance(one, ast.Constant)]
                left += [one for one in words if isinstance(one, str) and ENGLISH.search(korean(one))]
    assert left == []


@pytest.mark.parametrize("name", sorted(RESULTS.keys() - {"experiment"}))  # whose claims alone are put into Korean
def test_no_english_sentence_is_left_on_a_page(name: str) -> None:
    html = to_html(page_of(RESULTS[name].make()))
    body = html[html.index("<header>") : html.index('<script type="application/json" id="dark"')]
    assert [said for text in texts(body) if ENGLISH.search(said := korean(text))] == []


@pytest.mark.parametrize(
    ("english", "said"),
    [
        ("layers.0.weight", "layers.0.weight"),  # a name stays
        ("Which pair is best (softmax as printed)", "어느 짝이 가장 좋은가(적힌 그대로의 소프트맥스)"),
        ("Finalists (logits)", "결선에 오른 짝(로짓)"),
        ("nobody has put this sentence", "nobody has put this sentence"),
        ("nobody knows anything at 3", "nobody knows anything at 3"),  # no half of it either
        ("adamw: first loss at 3.weight", "adamw: 처음 손실(3.weight)"),
        (
            "a step of all 9 runs: 2 ms 8 at once, 4 ms one after another",
            "학습 9번이 한 스텝에 걸리는 시간: 한꺼번에 8번씩 2 ms, 하나씩 4 ms",
        ),
        ("Gain 1: fed by the data; measured 2 for 1, std ×0.7.", "이득 1: 입력은 데이터; 목표 1, 측정값 2, std ×0.7."),
        (
            "3 seeds cannot show a difference of 0.66 points between auto, lr 0.001 and he, lr 0.01: about 14 points "
            "is the least they show in four of five studies",
            "시드 3개로는 auto, lr 0.001 대 he, lr 0.01의 차이(0.66%포인트)를 보일 수 없다: 다섯 번 가운데 네 번 "
            "드러나는 가장 작은 차이가 약 14%포인트이다",
        ),
        ("stopped improving at step 35", "35스텝 뒤로 나아지지 않아 멈춤"),
        ("gain 1.4: fed by max_pool2d of relu at 2", "이득 1.4: 입력은 2의 relu의 max_pool2d"),
        ("Draw 2.bias with std 0.1; now its rms is 3.", "2.bias: 표준편차 0.1로 뽑는다. 지금의 rms는 3이다."),
        (
            "Draw a.weight with std 0.1, as plan does (lecun_normal, gain 1: fed by the data; a.weight: 3)",
            "a.weight: plan이 정한 대로 표준편차 0.1로 뽑는다(lecun_normal, 이득 1: 입력은 데이터; a.weight: 3)",
        ),
    ],
)
def test_a_text_is_put_clause_by_clause(english: str, said: str) -> None:
    assert korean(english) == said


def small() -> Page:
    line = LineFigure("Signal by layer", "layer", "root mean square", [Series("signal", (0, 1), (1.0, 0.5))])
    table = Table("Layers", (Column("layer", kind="code"), Column("reason")), [("signal", "bias: zero")])
    return Page("Inspection of Net", "", [Section("Findings", [Callout("good", "Nothing"), line, table])])


def test_the_button_speaks_korean_and_english(browser: headless.Browser, tmp_path: Path) -> None:
    tab = browser.open(save_page(small(), tmp_path / "report.html"), width=400)
    shown = "document.title + ' ' + document.querySelector('h1').textContent + ' ' + document.body.innerText"
    axes = "[...document.querySelectorAll('.plot .xtitle, .plot .ytitle')].map(text => text.textContent).sort().join()"
    english = tab.run("document.body.innerText")
    assert (tab.run("document.documentElement.lang"), tab.run(axes)) == ("en", "layer,root mean square")
    tab.run("document.getElementById('language').click()")
    assert (tab.run("document.documentElement.lang"), tab.run(axes)) == ("ko", "제곱평균제곱근,층")
    assert tab.run("document.querySelector('td.code').textContent") == "signal"  # the name of a layer stays
    assert tab.run("document.title") == "Net 검사"
    assert not {"Findings", "Signal by layer", "bias: zero"} & set(tab.run(shown).split("\n"))
    assert serious(tab) == []
    assert tab.run("document.documentElement.scrollWidth") <= 400
    tab.run("document.getElementById('language').click()")
    assert (tab.run("document.body.innerText"), tab.run(axes)) == (english, "layer,root mean square")
    assert tab.trouble() == []
    tab.close()


def test_only_what_has_an_entry_is_in_the_dictionary() -> None:
    assert dictionary("<p title='Layers'>a name</p><pre>Layers of code</pre>") == {"Layers": "층"}


SHOWN = {"LineFigure", "BarFigure", "ScatterFigure", "HeatmapFigure", "HistogramGrid", "ImageGrid", "Table", "Column"}


def _said_by(path: Path) -> list[str]:
    """The texts that a file's figures and tables are made with, 7 for what a run puts into them."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    shown = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in SHOWN]
    texts = [
        a for call in shown for a in (*call.args, *(k.value for k in call.keywords if k.arg not in ("align", "kind")))
    ]
    parts = [a.values if isinstance(a, ast.JoinedStr) else [a] for a in texts]
    joined = ("".join(str(p.value) if isinstance(p, ast.Constant) else "7" for p in part) for part in parts)
    return [text for text in joined if re.search("[a-z]{3} [a-z]{2}", text)]


@pytest.mark.parametrize("path", sorted(Path(experiments.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_figures_and_tables_of_experiments_are_said_in_korean(path: Path) -> None:
    assert [text for text in _said_by(path) if not re.search("[가-힣]", korean(text))] == []
