from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from maskrcnn.config import BackboneConfig, BoxHeadConfig, InputConfig, ModelConfig
from maskrcnn.errors import ConfigError, OutputError, WeightsError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import fill, load_model, read, save
from maskrcnn.version import __version__


def header(**changes: str) -> dict[str, str]:
    """Return the header of a file with a small model's settings, and what is changed of it."""
    return {"kind": "maskrcnn", "version": __version__, "config": '{"classes": ["cat"]}', **changes}


# ---- there and back


@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_every_parameter_and_buffer_comes_back_bit_for_bit(tiny: ModelConfig, norm: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    config = tiny.change(
        backbone=BackboneConfig(depth="resnet18", norm=norm), input=InputConfig(mean=(1.5,), std=(0.1,))
    )
    model = build(config)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(-1, 1)
    save(model, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.config == config
    assert not again.training
    own, other = model.state_dict(), again.state_dict()
    assert list(own) == list(other)
    assert all(torch.equal(own[name], other[name]) and own[name].dtype == other[name].dtype for name in own)


def test_the_header_says_what_the_model_is(tiny: ModelConfig, tmp_path: Path) -> None:
    save(build(tiny), tmp_path / "m.safetensors", {"run": "spring", "kind": "mine"})
    metadata = read(tmp_path / "m.safetensors").metadata
    assert ModelConfig.parse_json(metadata["config"]) == tiny
    assert json.loads(metadata["classes"]) == ["cat", "dog", "horse"]
    assert json.loads(metadata["normalisation"]) == {"mean": list(tiny.input.mean), "std": list(tiny.input.std)}
    assert (metadata["version"], metadata["run"], metadata["kind"]) == (__version__, "spring", "maskrcnn")


def test_names_of_classes_in_any_script(tiny: ModelConfig, tmp_path: Path) -> None:
    names = ("猫", "Ärger", 'a "quoted" one', "with\nline")
    save(build(tiny.change(classes=names)), tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors").config.classes == names


def test_a_full_disk_is_a_sentence_and_the_older_file_stays(
    tiny: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"older")

    def full(_: Path, __: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"m\.safetensors: could not be written: No space left on device; free some"):
        save(build(tiny), path)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


# ---- files that are not


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "got an empty file"),
        (b"just words, more than eight", r"got a file of another kind, starting with b'just wor'"),
        (b"ab", r"got a file of another kind, starting with b'ab'"),
        (
            pickle.dumps({"w": 1}),
            "got a checkpoint of PyTorch or another pickle, which could run code; a run has a model",
        ),
        (b"PK\x03\x04 a zip", "got a checkpoint of PyTorch"),
        (struct.pack("<Q", 4) + b"{]{]" + b"\0" * 8, "got one that is cut off or broken"),
        (struct.pack("<Q", 2**62) + b"{}", "got a file of another kind"),
    ],
)
def test_other_files_are_refused_by_what_they_are(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"m\.safetensors: expected a model file \(safetensors\), {sentence}"):
        read(path)


def test_a_file_that_is_cut_off_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": torch.ones(100)}, path, header())
    whole = path.read_bytes()
    for length in (*range(0, 64, 7), len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"m\.safetensors: expected a model file"):
            read(path)


def test_nothing_there_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing: expected a model file, got no such file$"):
        read(tmp_path / "nothing")
    with pytest.raises(WeightsError, match=r"expected a model file, got a folder$"):
        read(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"got a folder; did you mean .*model\.safetensors\?$"):
        read(tmp_path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"kind": "maskrcnn"}, {"config": "{}"}])
def test_safetensors_of_another_project(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "m.safetensors", metadata)
    with pytest.raises(
        WeightsError, match="expected a model file of this package, got safetensors without its settings"
    ):
        read(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("not JSON", "settings: expected JSON"),
        ("[]", "settings: expected a JSON object, got list"),
        ("{}", "settings: classes: Field required"),
        ('{"classes": ["cat"], "colour": 3}', "settings: colour: unknown setting"),
        ('{"classes": ["cat"], "input": {"min_size": -1}}', "settings: input.min_size: .*got -1"),
    ],
)
def test_settings_that_do_not_fit_name_the_file(tmp_path: Path, config: str, sentence: str) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "m.safetensors", header(config=config))
    with pytest.raises(ConfigError, match=rf"m\.safetensors: {sentence}"):
        read(tmp_path / "m.safetensors")


def test_settings_of_another_version_say_so(tmp_path: Path) -> None:
    newer = header(config='{"classes": ["cat"], "colour": 3}', version="99.0")
    save_file({"w": torch.ones(2)}, tmp_path / "m.safetensors", newer)
    with pytest.raises(ConfigError, match=f"unknown setting.*; written by version 99.0, this is {__version__}$"):
        read(tmp_path / "m.safetensors")


def test_settings_of_a_model_that_no_memory_holds(tmp_path: Path) -> None:
    huge = ModelConfig(classes=("cat",), box_head=BoxHeadConfig(channels=10**12))
    save_file({"w": torch.ones(2)}, tmp_path / "m.safetensors", header(config=huge.model_dump_json()))
    with pytest.raises(WeightsError, match="expected a model that fits into memory, got settings of a larger one"):
        load_model(tmp_path / "m.safetensors")


# ---- tensors


def test_missing_surplus_and_unequal_tensors_are_listed() -> None:
    module = torch.nn.Linear(3, 2)
    with pytest.raises(WeightsError) as caught:
        fill(module, {"weight": torch.ones(2, 4), "extra": torch.ones(1)}, "m.safetensors")
    assert str(caught.value) == (
        "m.safetensors: expected the tensors of the model that its settings describe, got "
        "1 missing: bias; 1 not used: extra; 1 of another shape: weight (expected (2, 3), got (2, 4))"
    )


def test_of_many_the_first_ten_are_named() -> None:
    surplus = {f"t{i}": torch.ones(1) for i in range(12)}
    with pytest.raises(WeightsError) as caught:
        fill(torch.nn.Identity(), surplus, "m")
    assert str(caught.value).endswith("12 not used: t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, ...")


def test_a_refused_file_leaves_the_module_as_it_was() -> None:
    module = torch.nn.Linear(3, 2)
    before = module.weight.detach().clone()
    with pytest.raises(WeightsError):
        fill(module, {"weight": torch.ones(2, 3)}, "m")
    assert torch.equal(module.weight, before)


def test_loading_draws_no_random_numbers(tiny: ModelConfig, tmp_path: Path) -> None:
    model = build(tiny)
    save(model, tmp_path / "model.safetensors")
    before = torch.random.get_rng_state()
    loaded = load_model(tmp_path / "model.safetensors")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
