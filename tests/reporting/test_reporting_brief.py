"""A result in short: the same content for a terminal and a notebook, nothing that either would obey."""

from initlab.reporting import Brief, Column, Table

TABLE = Table("", (Column("scheme", kind="code"), Column("loss", "right")), (("he_normal", 0.1),))


def test_text_in_order():
    brief = Brief("he wins", TABLE, remarks=["* by a hair"], warnings=["two seeds only"], made="trained stacked")

    assert brief.text(40).split("\n") == [
        "he wins",
        "",
        "scheme     loss",
        "───────────────",
        "he_normal   0.1",
        "* by a hair",
        "! two seeds only",
        "trained stacked",
    ]


def test_lines_fit_and_hang():
    lines = Brief("c", TABLE, warnings=["a warning that is longer than its terminal"]).text(24).split("\n")

    assert max(map(len, lines)) <= 24
    assert lines[-2:] == ["! a warning that is", "  longer than its", "  terminal"][-2:]


def test_html_escapes_every_text():
    html = Brief("<b>won</b>", TABLE, warnings=["<script>"]).html()

    assert "&lt;b&gt;won&lt;/b&gt;" in html
    assert "<li>&lt;script&gt;</li>" in html


def test_no_empty_list():
    assert "<ul>" not in Brief("c", TABLE).html()
