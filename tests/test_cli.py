"""Command lines as a user types them: exit codes, one line for each mistake, and what stdout holds."""

import dataclasses
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import types

import pytest
from jobs import smart_jobs

from smart_jobs import cli, config, render
from smart_jobs.encode import checkpoint
from smart_jobs.keys import Cut, Encoder
from smart_jobs.lake import layout
from smart_jobs.records import JobError

HEAVY = ("torch", "transformers", "faiss", "ray", "pymupdf")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def empty_lake(tmp_path, tiny_encoder):
    """The arguments that name a lake in which the tiny encoder has encoded nothing."""
    spec, _ = checkpoint.resolve(Encoder(name=tiny_encoder.name, model=str(tiny_encoder)), Cut())
    layout.create_encoder(layout.create_lake("./lake"), spec, None)
    return ["lake=./lake", f"encoder={tiny_encoder}"]


@pytest.fixture
def job(monkeypatch):
    """Give `status` another module to run; the object that the test may put `run` and `dry_run` on."""
    module = types.ModuleType("stand_in")
    monkeypatch.setitem(sys.modules, "stand_in", module)
    for name, verb in cli.VERBS.items():
        monkeypatch.setitem(cli.VERBS, name, dataclasses.replace(verb, module="stand_in", show=render.plain))
    return module


def python(code):
    """What a fresh interpreter prints; it must succeed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def complaint(capfd, *words):
    """Exit code and the lines on stderr of a command line that must leave stdout empty."""
    code = cli.main(words)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return code, err.splitlines()


# Mistakes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["fetch"],
            "fetch: no such verb; there are ingest, index, search, explain, evaluate, compare, status, sql, verify, "
            "maintain, forget",
        ),
        (["ingest", "--force"], "--force: unknown option; there are --help, --dry-run, --json, --version"),
        (["status", "lak=./a"], "lak=./a: unknown key; did you mean lake?"),
        (["search", "a", "k=many"], "k: Input should be a valid integer, unable to parse string as an integer"),
        (["search", "a", "k=0", "--json"], "k: Input should be greater than or equal to 1 (got '0')"),
        (["search"], "search: nothing to search for; give a question, image=… or video=…"),
        (["search", ""], "search: nothing to search for; give a question, image=… or video=…"),
        (["explain", "a"], "segment: missing; give segment=…"),
        (["explain", "segment=1"], "explain: nothing to search for; give a question, image=… or video=…"),
        (["ingest", "--json"], "source: missing; give source=…"),
        (["ingest", "source=docs2"], "source=docs2: no such name; there are docs; for a folder write ./docs2"),
        (["evaluate", "suite=beir"], "suite.path: missing; give suite.path=…"),
        (["status", "./lake"], "'./lake': expected key=value"),
        (["sql"], 'sql: give one query, sql "SELECT …", or analysis='),
        (["sql", "SELECT 1", "analysis=drift"], 'sql: give one query, sql "SELECT …", or analysis='),
        (["sql", "SELECT 1", "cosine=0.9"], "cosine=0.9: only analysis=near_duplicates takes it"),
        (["sql", "DROP TABLE pooled"], "query=DROP TABLE pooled: sql only reads"),
        (["sql", "analysis=drift"], "other: missing; analysis=drift compares with other=ENCODER or other=version:N"),
        (["status", "--dry-run"], "status --dry-run: status changes nothing; run it without"),
        (["verify", "--dry-run"], "verify --dry-run: verify changes nothing; run it without"),
        (["compare"], "base: missing; give base=…"),
        (["compare", "a", "b", "c"], "'c': expected key=value"),
        (["compare", "a", "--dry-run"], "compare --dry-run: compare changes nothing; run it without"),
        (["forget"], "asset: missing; give asset=…"),
        (["maintain", "target_mb=0"], "target_mb: Input should be greater than 0 (got '0')"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(capfd, words, said):
    code, lines = complaint(capfd, *words)
    assert code == cli.USAGE
    assert len(lines) == 1
    assert lines[0].startswith(f"smart-jobs: {said}")


def test_no_verb_prints_the_verbs_on_stderr_with_exit_code_2(capfd):
    code, lines = complaint(capfd)
    assert code == cli.USAGE
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(cli.VERBS)


def test_several_mistakes_are_a_line_each(capfd):
    code, lines = complaint(capfd, "ingest", "codec=int5", "wai=1")
    assert code == cli.USAGE
    assert [line.split(": ")[1] for line in lines] == ["wai=1", "source", "codec"]


def test_a_source_that_is_not_there_is_wrong_usage_before_anything_is_written(capfd, tmp_path, tiny_encoder):
    code, lines = complaint(capfd, "ingest", "source=./nothing", f"encoder={tiny_encoder}")
    assert (code, len(lines)) == (cli.USAGE, 1)
    assert lines[0].startswith(f"smart-jobs: source {tmp_path}/nothing: nothing there")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["status"], ["index"], ["search", "a"], ["search", "a", "exhaustive=true"], ["search", "a", "--dry-run"]]
)
def test_a_lake_that_is_not_there_says_what_makes_one(capfd, tiny_encoder, words):
    encoder = [] if words == ["status"] else [f"encoder={tiny_encoder}"]
    code, lines = complaint(capfd, *words, "lake=./nowhere", *encoder)
    assert code == cli.FAILED
    assert lines == ["smart-jobs: lake ./nowhere: no lake there; `smart-jobs ingest source=… lake=./nowhere` makes one"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["index"], r"has no vectors to index; ingest first$"),
        (["index", "--dry-run"], r"has no vectors to index; ingest first$"),
        (["search", "a", "exhaustive=true"], r"nothing is encoded yet; `smart-jobs ingest source=… lake=.*` does$"),
        (["search", "a"], r"(nothing is encoded yet|no index of tiny-[0-9a-f]{12}; run `smart-jobs index lake=)"),
    ],
)
def test_an_empty_lake_says_what_to_do(capfd, empty_lake, words, said):
    code, lines = complaint(capfd, *words, *empty_lake)
    assert (code, len(lines)) == (cli.FAILED, 1)
    assert re.search(said, lines[0])


def test_a_lake_where_nothing_can_be_written_is_one_line(capfd, tmp_path, tiny_encoder):
    (tmp_path / "docs").mkdir()
    (tmp_path / "file").write_text("no folder")
    words = ("ingest", f"source={tmp_path}/docs", f"lake={tmp_path}/file/lake", f"encoder={tiny_encoder}")
    code, [line] = complaint(capfd, *words)
    assert code == cli.FAILED
    assert f"{tmp_path}/file" in line


def test_an_encoder_that_the_lake_does_not_know_is_told_which_it_does(capfd, empty_lake, tiny_encoder):
    code, lines = complaint(capfd, "search", "a", *empty_lake, "encoder.max_length=32")
    assert (code, len(lines)) == (cli.FAILED, 1)
    assert re.search(r"nothing is encoded with tiny-[0-9a-f]{12}; encoders there: tiny-[0-9a-f]{12}$", lines[0])


def test_an_index_that_is_not_built_says_how_to_build_it(capfd, empty_lake, monkeypatch):
    """On a lake that has rows, whatever an empty one says."""
    from deltalake import DeltaTable

    monkeypatch.setattr(DeltaTable, "count", lambda _: 5)
    code, lines = complaint(capfd, "search", "a", *empty_lake)
    assert (code, len(lines)) == (cli.FAILED, 1)
    assert re.search(r"no index of tiny-\w+; run `smart-jobs index lake=.*`, or search with exhaustive=true$", lines[0])


# Results


def test_an_empty_lake_has_a_status(capfd, empty_lake):
    assert cli.main(["status", empty_lake[0]]) == cli.DONE
    assert re.search(r"tiny-[0-9a-f]{12}: 0 segments", capfd.readouterr().out)
    assert cli.main(["status", empty_lake[0], "--json"]) == cli.DONE
    result = json.loads(capfd.readouterr().out)
    assert [(encoder["name"], encoder["segments"]) for encoder in result["encoders"]] == [("tiny", 0)]


NOISY = """
import ctypes, os, sys, types
def run(job):
    print("noise")
    os.write(1, b"noise\\n")
    os.system("echo noise")
    ctypes.CDLL(None).puts(b"noise")
    return {"answer": 42}
module = types.ModuleType("smart_jobs.flow.status")
module.run = run
sys.modules[module.__name__] = module
import smart_jobs.cli
sys.exit(smart_jobs.cli.main(["status", "--json"]))
"""


def test_json_is_all_there_is_on_stdout_even_where_a_job_prints():
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, timeout=60)
    assert done.stdout == '{"answer": 42}\n'
    assert (done.returncode, done.stderr.split()) == (cli.DONE, ["noise"] * 4)


def test_stdout_is_given_back_after_a_job_that_failed(capfd, job):
    def fails(config):
        os.write(1, b"noise\n")
        raise JobError("it cannot go on\nfor two reasons")

    job.run = fails
    assert complaint(capfd, "status") == (
        cli.FAILED,
        ["noise", "smart-jobs: it cannot go on", "smart-jobs: for two reasons"],
    )
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_an_interrupt_says_that_the_next_run_goes_on(capfd, job):
    def interrupted(config):
        raise KeyboardInterrupt

    job.run = interrupted
    code, [line] = complaint(capfd, "status")
    assert code == cli.FAILED
    assert "the next run goes on from there" in line


def test_our_own_bugs_are_not_hidden(job):
    job.run = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        cli.main(["status"])


@pytest.mark.parametrize(
    ("verb", "failures", "options", "code"),
    [
        ("ingest", 0, [], cli.DONE),
        ("ingest", 2, [], cli.WITH_FAILURES),
        ("ingest", 2, ["--json"], cli.WITH_FAILURES),
        ("ingest", 2, ["--dry-run"], cli.DONE),
        ("status", {"empty": 2}, [], cli.DONE),
    ],
)
def test_exit_code_3_is_an_ingest_that_recorded_failures(capfd, job, verb, failures, options, code):
    job.run = job.dry_run = lambda _: {"failures": failures}
    assert cli.main([verb, *(["source=docs"] if verb == "ingest" else []), *options]) == code


def test_a_dry_run_runs_nothing(capfd, job):
    job.run = lambda _: pytest.fail("it ran")
    job.dry_run = lambda _: {"dry_run": True, "segments": 1234}
    assert cli.main(["ingest", "source=docs", "--dry-run"]) == cli.DONE
    assert capfd.readouterr().out == "dry_run: True\nsegments: 1,234\n"


def test_a_query_may_stand_alone(job):
    seen = []
    job.run = lambda config: seen.append(config.query) or {}
    for verb, *more in (["search"], ["explain", "segment=1"]):
        for words in (["how are iterators chained"], ["query=plain"], ["x = y?"], ["what is a: b"]):
            assert cli.main([verb, *words, *more]) == cli.DONE
    assert seen == ["how are iterators chained", "plain", "x = y?", "what is a: b"] * 2


# Help


def test_help_is_on_stdout(capfd):
    assert cli.main(["--help"]) == cli.DONE
    out, err = capfd.readouterr()
    assert all(f"  {verb}" in out for verb in cli.VERBS)
    assert err == ""


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_a_verb_lists_every_key_with_its_default(capfd, verb):
    assert cli.main([verb, "--help"]) == cli.DONE
    lines = {line.split()[0]: line for line in capfd.readouterr().out.splitlines() if line.startswith("  ")}
    model = cli.VERBS[verb].model
    names = [name for name, _ in config.keys(model)]
    assert [name for name in lines if name != "conf" and "=" not in name] == names
    for name, field in config.keys(model):
        if not field.is_required() and config.group_of(field.annotation) is None:
            assert f"[{'null' if field.default is None else field.default}]" in lines[name]
        if field.description:
            assert lines[name].endswith(field.description)


def test_help_names_the_yaml_files_that_can_be_chosen(capfd, tmp_path):
    (tmp_path / "given" / "encoder").mkdir(parents=True)
    (tmp_path / "given" / "encoder" / "mine.yaml").touch()
    assert cli.main(["search", "--help", "conf=given"]) == cli.DONE
    assert re.search(r"encoder +named: .*\bmine, minilm, .*, a folder or hf://org/name@rev", capfd.readouterr().out)


def test_version_is_that_of_the_distribution(capfd):
    assert cli.main(["--version"]) == cli.DONE
    assert capfd.readouterr().out == f"smart-jobs {importlib.metadata.version('smart-jobs')}\n"


# In a process of its own


def test_help_and_mistakes_load_nothing_heavy():
    verbs = [[verb, "--help"] for verb in cli.VERBS] + [["--version"], ["ingest", "nonsense=1"]]
    code = (
        "import sys; import smart_jobs.config; from smart_jobs.cli import main\n"
        f"codes = [main(words) for words in {verbs}]\n"
        f"print(codes, [name for name in {HEAVY} if name in sys.modules])"
    )
    assert python(code).splitlines()[-1] == f"{[0] * (len(verbs) - 1) + [2]} []"


@pytest.mark.parametrize(
    "module",
    [
        "config",
        "flow.ingest",
        "flow.comparing",
        "flow.status",
        "flow.sql",
        "flow.verifying",
        "flow.maintaining",
        "flow.dropping",
    ],
)
def test_planning_loads_neither_torch_nor_faiss_nor_ray(module):
    assert (
        python(f"import sys, smart_jobs.{module}; print([name for name in {HEAVY} if name in sys.modules])") == "[]\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "usage: smart-jobs VERB"),
        (["fetch"], 2, "smart-jobs: fetch: no such verb"),
        (["status", "lake=./nowhere", "--json"], 1, "smart-jobs: lake ./nowhere: no lake there"),
        (["ingest", "source=./nothing", "--dry-run", "--json"], 2, "smart-jobs: source "),
    ],
)
def test_a_process_ends_with_the_code_and_without_a_traceback(tmp_path, tiny_encoder, words, code, said):
    encoder = [f"encoder={tiny_encoder}"] if "ingest" in words else []
    found, out, err = smart_jobs(*words, *encoder, cwd=tmp_path)
    assert (found, out) == (code, "")
    assert err.startswith(said)
    assert len(err.splitlines()) == 1 or not words


def test_a_dry_run_of_an_ingest_says_what_it_would_do(tmp_path, tiny_encoder):
    (tmp_path / "in").mkdir()
    for i in range(3):
        (tmp_path / "in" / f"{i}.txt").write_text("some words " * 20 * i)
    code, out, err = smart_jobs(
        "ingest",
        "source=./in",
        f"encoder={tiny_encoder}",
        "encoder.max_length=128",
        "--dry-run",
        "--json",
        cwd=tmp_path,
    )
    result = json.loads(out)
    assert (code, result["assets"], result["to_open"], result["hours"]) == (0, 3, 3, None), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
