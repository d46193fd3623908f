"""The commit of a folder, from what git and the hub's own tool leave in it."""

import subprocess

import pytest

from smart_jobs.evaluate.mmeb import revisions

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]


def git(folder, *words):
    return subprocess.run([*GIT, "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    return tmp_path


def test_a_clone(clone):
    commit = git(clone, "rev-parse", "HEAD")
    assert revisions.of(str(clone)) == commit
    git(clone, "pack-refs", "--all")
    assert not (clone / ".git/refs/heads/main").exists()
    assert revisions.of(str(clone)) == commit
    git(clone, "checkout", "-q", "--detach")
    assert revisions.of(str(clone)) == commit


def test_a_download(tmp_path):
    folder = tmp_path / ".cache/huggingface/download/data"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.parquet.metadata").write_text(f"{COMMIT}\netag\n1.0\n")
    assert revisions.of(str(tmp_path)) == COMMIT
    (folder / "b.parquet.metadata").write_text(f"{'f' * 40}\netag\n1.0\n")
    assert revisions.of(str(tmp_path)) is None


def test_nothing_says_it(tmp_path):
    assert revisions.of(str(tmp_path)) is None
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/gone")
    assert revisions.of(str(tmp_path)) is None
