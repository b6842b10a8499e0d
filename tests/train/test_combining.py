"""The command of `mean` and `ensemble`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pano_sound.errors import OutputError
from pano_sound.localize.nets import weights
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.research.train import ensemble, mean


@pytest.mark.parametrize(("module", "said", "width"), [(mean, b"mean_of", 1), (ensemble, b"ensemble_of", 2)])
def test_the_file_says_what_it_was_made_of(module, said: bytes, width: int, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    network = Localizer(**TINY)
    for name in ("0", "1"):
        weights.save(network, tmp_path / f"{name}.safetensors", {"name": name})
    out = tmp_path / "both.safetensors"
    command = [str(out), str(tmp_path / "0.safetensors"), str(tmp_path / "1.safetensors")]
    assert CliRunner().invoke(module.main, command).exit_code == 0
    assert said in out.read_bytes()
    assert b"0.safetensors, 1.safetensors" in out.read_bytes()
    assert weights.load(out).config["hidden"] == width * TINY["hidden"]
    again = CliRunner().invoke(module.main, command)  # nothing is replaced
    assert again.exit_code == OutputError.exit_code
    assert again.output.count("\n") == 1
    assert "overwrite" not in again.output  # which is no option of this command
