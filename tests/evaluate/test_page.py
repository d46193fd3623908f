"""The report's page: nothing is lost, nothing is fetched, nothing a benchmark says can break it; a browser shows it."""

import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from PIL import Image

from smart_jobs.evaluate import page
from smart_jobs.evaluate.report import Estimate, Example, MeanPart, Report, Shown, TaskPart

EVIL = "<script>alert(1)</script> & \"quotes\" 'and' <b>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def jpeg(colour):
    out = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(out, "JPEG")
    return out.getvalue()


def a_report():
    scores = {"pooled": Estimate(0.5, 0.4, 0.6), "late": Estimate(0.25, 0.2, 0.3), "hybrid": Estimate(0.625, 0.5, 0.7)}
    example = Example(
        Shown("q1", f"what is {EVIL}", jpeg("red")),
        Shown("c7", "wrong", jpeg("green"), score=1.25),
        Shown("c2", "the right one " * 100, None, score=0.5),
        17,
        0.0,
    )
    first = TaskPart("Task-A/1", "CLS", "image", "hit@1", 1000, 20, scores, Estimate(0.125, 0.05, 0.2),
                     {"peer": 0.61}, examples=(example,))  # fmt: skip
    second = TaskPart("Task B", "QA", "image", "hit@1", 3, 1234, {**scores, "pooled": None}, None,
                      unlike_expected="3 queries, 1,000 expected",
                      failures=(f"cat.jpg: damaged {EVIL}",), failed=3)  # fmt: skip
    means = [MeanPart("image", 2, 36, scores, Estimate(-0.01, -0.02, 0.01)), MeanPart("CLS", 1, 1, scores)]
    curves = {"image": [(0.0, 0.5), (0.5, 0.7), (1.0, 0.6)], EVIL: [(0.0, 0.4), (1.0, float("nan"))]}
    return Report("mmeb_v2", "20260101T000000-abc", f"model {EVIL}", [("cost", EVIL)], means, [first, second], curves)


class Reader(HTMLParser):
    """Tags that are open, what each cell says, and what the page would fetch."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.fetched, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [
            value for name, value in attrs if name in ("src", "href") and not value.startswith(("data:", "#"))
        ]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag, _attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and {"td", "th"} & set(self.open):
            self.cells[-1] += data


def test_every_figure_is_there_and_every_tag_is_closed():
    read = Reader(page.page(a_report()))
    assert read.open == []
    for wanted in ("50.00", "25.00", "62.50", "+12.50", "-1.00", "61.00", "1,234", "1,000"):
        assert wanted in read.cells
    assert any("2 of 36: no mean of all" in cell for cell in read.cells)
    assert any("3 queries, 1,000 expected" in cell for cell in read.cells)
    assert any("rank 17" in cell and "score 0.5000" in cell for cell in read.cells)
    assert "img" in read.tags


def test_nothing_is_fetched_and_no_script_runs():
    text = page.page(a_report())
    read = Reader(text)
    assert read.fetched == []
    assert "script" not in read.tags
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)


def test_what_is_not_encoded_is_named():
    assert "Task B: and 2 more" in page.page(a_report())
    assert "Task B: cat.jpg: damaged &lt;script&gt;" in page.page(a_report())


def test_an_encoder_without_pooled_scores_has_no_such_column():
    score = {"pooled": None, "late": Estimate(0.1, 0.1, 0.1), "hybrid": None}
    report = Report("beir", "r", "e", [], [], [TaskPart("t", "", "", "ndcg@10", 1, 1, score)])
    read = Reader(page.page(report))
    assert "pooled" not in read.cells
    assert "late" in read.cells


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_it(tmp_path):
    (tmp_path / "index.html").write_text(page.page(a_report()))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    shown = subprocess.run([*command, "--dump-dom", f"file://{tmp_path}/index.html"], capture_output=True, text=True,
                           timeout=120, check=True).stdout  # fmt: skip
    assert Reader(shown.partition("<html")[1] + shown.partition("<html")[2]).cells.count("62.50") >= 3
    subprocess.run([*command, f"--screenshot={tmp_path}/page.png", "--window-size=1200,2400",
                    f"file://{tmp_path}/index.html"], capture_output=True, timeout=120, check=True)  # fmt: skip
    with Image.open(tmp_path / "page.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    assert len(colours) > 20
