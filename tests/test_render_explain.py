"""The table of which token met which, as a person reads it."""

from smart_jobs import render_explain


def token(number, name, kind="text"):
    return {"number": number, "name": name, "kind": kind}


def asked(number, name, cosine, met, kind="text", share=0.25):
    return {**token(number, name, kind), "cosine": cosine, "share": share, "met": met}


RESULT = {
    "title": "a.pdf", "uri": "/docs/a.pdf", "page": 3, "start": None, "end": None, "pooled": 0.41234, "late": 0.5,
    "picture": "/here/explain.png", "notes": [],
    "tokens": [
        asked(0, "user", 0.9, token(4, "user", "template"), "template", 0.5),
        asked(1, "refunds", 0.61234, token(7, "row 3, column 5", "image")),
        asked(2, "are", -0.05, token(9, "is"), share=-0.025),
        asked(3, "paid", 0.2, token(11, "state 11", None), share=None),
    ],
}  # fmt: skip


def test_a_line_for_each_query_token():
    lines = render_explain.explain(RESULT).splitlines()
    assert lines[0] == "a.pdf page 3  (pooled 0.412, late 0.500)"
    assert [line.split("  ")[0] for line in lines[3:7]] == ["user (template)", "refunds", "are", "paid"]
    assert [line.split("  ")[-1] for line in lines[3:7]] == [
        "user (template)", "row 3, column 5 (image)", "is", "state 11",
    ]  # fmt: skip
    assert lines[4].split()[1:3] == ["25.0%", "0.612"]
    assert lines[3].split()[2:4] == ["50.0%", "0.900"]
    assert lines[5].split() == ["are", "-2.5%", "-0.050", "is"]
    assert lines[6].split() == ["paid", "0.200", "state", "11"]
    assert lines[7:] == ["picture: /here/explain.png"]


def test_notes_stand_where_there_is_no_picture():
    said = render_explain.explain({**RESULT, "picture": None, "notes": ["no picture: a is gone"], "pooled": None})
    assert said.splitlines()[0] == "a.pdf page 3  (late 0.500)"
    assert said.splitlines()[-1] == "no picture: a is gone"


def test_of_very_many_query_tokens_its_own_come_first_and_then_the_nearest():
    met = token(0, "x")
    own = [asked(i, f"own{i}", i / 1000, met) for i in range(50)]
    template = [asked(50 + i, f"template{i}", 0.5 + i / 1000, met, "template") for i in range(50)]
    lines = render_explain.explain({**RESULT, "tokens": [*own, *template]}).splitlines()
    assert [line.split()[0] for line in lines[3:-2]] == [
        *(f"own{i}" for i in range(50)), *(f"template{i}" for i in range(40, 50)),
    ]  # fmt: skip
    assert lines[-2] == "60 of 100 query tokens; --json has all of them"
