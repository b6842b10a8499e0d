"""The samples, with the real weights: does the camera turn to the sound?"""

import runpy
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["courtyard", "carpark", "meadow", "room"])
def test_the_source_is_in_view(name):
    from pano_sound.options.steps import PanOptions

    measured = runpy.run_path(str(SAMPLES / "measure.py"))["measure"](SAMPLES / f"{name}.mp4", PanOptions())
    assert measured.in_view > 0.7 * measured.sounding
    assert measured.in_view > measured.best_still
    assert measured.in_view > measured.ahead


@pytest.mark.parametrize("name", ["courtyard", "carpark", "meadow", "room"])
def test_the_truth_fits_the_film(name):
    from pano_sound.media.probe import probe

    info = probe(SAMPLES / f"{name}.mp4")
    truth, every = runpy.run_path(str(SAMPLES / "measure.py"))["sounding"](name)
    assert info.problem is None
    assert info.audio is not None
    assert max(truth) <= info.duration
    assert every == pytest.approx(0.1)
    assert 8 <= info.duration <= 12.1
