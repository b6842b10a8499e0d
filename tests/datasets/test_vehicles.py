"""Synthesised sounds of vehicles: what the tagger takes for the real thing is kept, the rest is not."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from pano_sound.errors import DataFileError, OutputError
from pano_sound.research.datasets import vehicles
from pano_sound.research.datasets.extension import RATE
from pano_sound.research.datasets.labelled import read_items, read_pairs, read_table
from pano_sound.research.datasets.vehicles import KINDS, Kind, add, main

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "teachers").mkdir(parents=True)
    (folder / "sounds.csv").write_text("file,label,source,group,split,seconds\r\nsounds/a.ogg,dog,us,g,val,1\r\n")
    (folder / "pictures.csv").write_text("file,label,source,split,x0,y0,x1,y1,box_by\ncar.png,car,us,train,,,,,\n")
    (folder / "pairs.csv").write_text("sound,picture\ncar_horn,car\n")
    return folder


@pytest.mark.parametrize("label", KINDS)
def test_every_sound_is_another_one_and_the_same_for_one_seed(label: str) -> None:
    def made(seed: int) -> np.ndarray:
        return KINDS[label].make(np.random.default_rng(seed))

    waves = [made(seed) for seed in range(8)]
    assert all(np.isfinite(wave).all() and wave.std() > 0 for wave in waves)
    assert all(0.1 * RATE < len(wave) < 13 * RATE for wave in waves)
    assert len({wave[: RATE // 10].tobytes() for wave in waves}) == 8
    assert np.array_equal(waves[3], made(3))


def test_an_engines_loudness_has_a_beat() -> None:
    """Its envelope repeats at the firing rate. White noise reaches 2.8 to 4.6 times the median."""
    for seed in range(6):
        wave = KINDS["engine_idling"].make(np.random.default_rng(seed))
        envelope = np.abs(wave) - np.abs(wave).mean()
        spectrum = np.abs(np.fft.rfft(envelope))
        hertz = np.fft.rfftfreq(len(envelope), 1 / RATE)
        slow = (hertz > 5) & (hertz < 250)
        assert spectrum[slow].max() > 5 * np.median(spectrum[slow])


def test_only_what_the_tagger_takes_for_real_is_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tagger:
        names = ("Music", "Toot")

        def __init__(self, folder: Path) -> None:
            assert folder == data

    said = iter([(0.0, 0.5), (0.0, 0.1), (0.3, 0.9), (0.1, 0.4), (0.0, 0.9)])
    monkeypatch.setattr("pano_sound.research.train.tagger.Tagger", Tagger)
    monkeypatch.setattr(vehicles, "heard", lambda tagger, wave: np.array(next(said)))
    monkeypatch.setattr(vehicles, "KINDS", {"car_horn": Kind(vehicles.horn, 9, 2, ("Toot",), 0.25)})
    add(data, tmp_path / "out")
    names = [Path(row["file"]).stem for row in read_table(tmp_path / "out" / "sounds.csv")[1:]]
    assert names == ["made_car_horn_000", "made_car_horn_003"]
    assert next(said) == (0.0, 0.9)  # Enough were kept: no more was tried.
    assert [item.label for item in read_items(tmp_path / "out", "sounds")] == ["dog", "car_horn", "car_horn"]
    assert read_pairs(tmp_path / "out") == {"car_horn": ["car"]}  # As before: there is no picture of a horn.


def test_it_warns_if_the_tagger_takes_too_few_for_real(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = iter([(0.0, 0.5), (0.0, 0.1), (0.0, 0.1)])
    monkeypatch.setattr(
        "pano_sound.research.train.tagger.Tagger", lambda folder: SimpleNamespace(names=("Music", "Toot"))
    )
    monkeypatch.setattr(vehicles, "heard", lambda tagger, wave: np.array(next(said)))
    monkeypatch.setattr(vehicles, "KINDS", {"car_horn": Kind(vehicles.horn, 3, 2, ("Toot",), 0.25)})
    add(data, tmp_path / "out")
    assert [record.message for record in caplog.records] == ["car_horn: only 1 of 2 sounds wanted are taken for real"]


def test_a_folder_that_cannot_be_made_is_one_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pano_sound.research.train.tagger.Tagger", lambda folder: SimpleNamespace(names=("Music", "Toot"))
    )
    (tmp_path / "file").touch()
    done = CliRunner().invoke(main, [str(data), str(tmp_path / "file" / "out")])
    assert done.exit_code == OutputError.exit_code
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_tagger_is_one_line(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [str(data), str(tmp_path / "out")])
    assert done.exit_code == DataFileError.exit_code
    assert "the tagger is missing" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not (SHARED_DATA / "teachers" / "mn04.py").exists(), reason="needs the tagger")
def test_the_real_tagger_hears_horns() -> None:
    from pano_sound.research.train.tagger import Tagger

    tagger, kind = Tagger(SHARED_DATA), KINDS["car_horn"]
    wanted = [tagger.names.index(tag) for tag in kind.tags]
    heard = [vehicles.heard(tagger, kind.make(np.random.default_rng((0, 0, i))))[wanted].max() for i in range(12)]
    assert np.mean(np.array(heard) >= kind.score) >= 0.25
