"""Adapters of hidden states against torch's own modules."""

import numpy as np
import pytest
import tiny_vl
import torch
from safetensors.torch import save_file
from seeing import picture, segment

from smart_jobs.encode import adapter, checkpoint, encoder
from smart_jobs.keys import Cut
from smart_jobs.records import JobError, UsageError

DIM = 32


class Authors(torch.nn.Module):
    """As SMART's training code has it."""

    def __init__(self, inner=DIM, outer=DIM):
        super().__init__()
        self.proj = torch.nn.Sequential(torch.nn.LayerNorm(inner), torch.nn.Linear(inner, outer, bias=False))

    def forward(self, states):
        return torch.nn.functional.normalize(self.proj(states), dim=-1)


def trained(module, **said):
    """What the trainer of SMART's authors saves."""
    return {"token_projection_module": module.state_dict(), "adapter_type": "token_projection", "hidden_size": DIM,
            "projection_type": "linear", "selected_layers": None, "use_last_n_layers": 1, **said}  # fmt: skip


@pytest.fixture
def module():
    return tiny_vl.fill(Authors(), 5)


@pytest.fixture(params=["torch", "trainer", "safetensors"])
def path(request, tmp_path, module):
    """Its file, in each of the three ways."""
    if request.param == "safetensors":
        found = tmp_path / "adapter.safetensors"
        save_file(module.state_dict(), found)
        return found
    torch.save(trained(module) if request.param == "trainer" else module.state_dict(), tmp_path / "adapter.pt")
    return tmp_path / "adapter.pt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vl.checkpoint(tmp_path_factory.mktemp("tiny") / "qwen3_vl", "qwen3_vl")


def loaded(folder, path=None, **given):
    spec, _ = checkpoint.resolve(tiny_vl.encoder(folder, "qwen3_vl", adapter=path and str(path), **given), Cut())
    return encoder.load(spec, folder, 1, 4096, path)


def unit(states):
    return states / np.linalg.norm(states, axis=-1, keepdims=True)


def test_stored_states_become_what_the_authors_module_makes_of_them(path, module):
    states = np.random.default_rng(0).normal(size=(7, DIM)).astype(np.float32) * 3 + 1
    found = adapter.adapted(states, adapter.read(path, DIM))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, module.proj(torch.from_numpy(states)).detach(), atol=1e-6)
    np.testing.assert_allclose(unit(found), module(torch.from_numpy(states)).detach(), atol=1e-6)


def test_encoding_with_it_changes_kept_states_and_nothing_else(folder, path, module):
    items = [segment("words", [picture()]), segment("a query", side="query")]
    plain, changed = loaded(folder).encode(items), loaded(folder, path).encode(items)
    for before, after in zip(plain, changed, strict=True):
        np.testing.assert_allclose(after.pooled, before.pooled, atol=1e-6)
        np.testing.assert_allclose(after.states, module.proj(torch.from_numpy(before.states)).detach(), atol=1e-4)
        np.testing.assert_array_equal(after.kinds, before.kinds)


def test_it_is_part_of_the_spec_by_its_content(folder, path, tmp_path):
    with_it, without = loaded(folder, path).spec, loaded(folder).spec
    assert with_it.digest != without.digest
    moved = path.rename(tmp_path / f"moved{path.suffix}")
    assert loaded(folder, moved).spec == with_it


def test_a_segment_that_keeps_no_token_has_its_pooled_vector_as_before(folder, path):
    [result] = loaded(folder, path, mask="visual").encode([segment("words")])
    np.testing.assert_array_equal(result.states, result.pooled[None])


@pytest.mark.parametrize(("inner", "outer"), [(DIM, 16), (16, DIM), (16, 16)])
def test_another_size_is_refused(folder, tmp_path, inner, outer):
    torch.save(Authors(inner, outer).state_dict(), tmp_path / "adapter.pt")
    with pytest.raises(UsageError, match=rf"expected states of 32 .* proj\.1\.weight \({outer}, {inner}\)"):
        loaded(folder, tmp_path / "adapter.pt")


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
@pytest.mark.parametrize("name", ["adapter.pt", "adapter.safetensors"])
def test_a_file_that_is_none_is_named(folder, tmp_path, content, name):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=r"encoder\.adapter=.*: not a file of tensors") as caught:
        loaded(folder, tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("more", ["proj.4.weight", "self_attn_norms.0.weight", "layer_weight_vectors"])
def test_another_kind_of_adapter_is_refused(folder, tmp_path, module, more):
    torch.save({**module.state_dict(), more: torch.ones(DIM)}, tmp_path / "adapter.pt")
    with pytest.raises(UsageError, match=rf"expected the tensors proj\.0\.weight, .* alone, found .*{more}"):
        loaded(folder, tmp_path / "adapter.pt")


@pytest.mark.parametrize("content", [{}, {"a": torch.ones(2)}, {"proj.0.weight": torch.ones(DIM)}, [1], torch.ones(2)])
def test_tensors_of_something_else_are_refused(folder, tmp_path, content):
    torch.save(content, tmp_path / "adapter.pt")
    with pytest.raises(UsageError, match=r"expected the tensors proj\.0\.weight"):
        loaded(folder, tmp_path / "adapter.pt")


@pytest.mark.parametrize("said", [{"selected_layers": [19]}, {"selected_layers": [3, 27]}, {"use_last_n_layers": 4}])
def test_an_adapter_of_another_layer_is_refused(folder, tmp_path, module, said):
    torch.save(trained(module, **said), tmp_path / "adapter.pt")
    with pytest.raises(UsageError, match="only adapters of the last layer alone are applied"):
        loaded(folder, tmp_path / "adapter.pt")


def test_code_in_a_file_is_not_run(folder, tmp_path):
    torch.save({"proj.0.weight": Authors()}, tmp_path / "adapter.pt")
    with pytest.raises(UsageError, match="not a file of tensors"):
        loaded(folder, tmp_path / "adapter.pt")


def test_a_file_that_changed_since_is_refused(folder, path):
    spec = loaded(folder, path).spec
    with pytest.raises(JobError, match="no adapter is not the adapter of its spec"):
        encoder.load(spec, folder, 1, 4096)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(JobError, match="is not the adapter of its spec"):
        encoder.load(spec, folder, 1, 4096, path)
