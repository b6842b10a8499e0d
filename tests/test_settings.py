from dataclasses import fields

import pytest

from pano_sound.settings import (
    PRESETS,
    AnalyseSettings,
    PlanSettings,
    RenderSettings,
    option_name,
    parse_size,
    with_flags,
)


@pytest.mark.parametrize("kind", [AnalyseSettings, PlanSettings, RenderSettings])
def test_every_option_has_help_and_a_default_in_its_range(kind):
    kind()
    for f in fields(kind):
        assert f.metadata["help"].endswith(".")
        assert option_name(f.name) == "--" + f.name.replace("_", "-")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_complete_and_given_options_win(preset):
    resolved = PlanSettings(preset=preset, fov=77.0).resolved()
    assert resolved.fov == 77.0
    assert all(getattr(resolved, name) == value for name, value in PRESETS[preset].items() if name != "fov")
    numbers = {f.name for f in fields(PlanSettings) if f.default is None} - {"size", "aspect", "cut_over"}
    has_part = {"signal", "fov", "size", "centring", "step", "max_speed"} if preset == "paper" else numbers
    assert set(PRESETS[preset]) == has_part


def test_unused_and_conflicting_options_are_refused():
    with pytest.raises(ValueError, match="`min_hold` is not used by `preset='paper'`"):
        PlanSettings(preset="paper", min_hold=3.0)
    with pytest.raises(ValueError, match="`size` and `aspect`"):
        PlanSettings(size="640x360", aspect="16:9")
    with pytest.raises(ValueError, match="`min_fov`"):
        PlanSettings(min_fov=110.0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("raise `max_hours`; else it is damaged", "raise --max-hours; else it is damaged"),
        ("say `stereo='top-bottom'` or `fov=80`", "say --stereo top-bottom or --fov 80"),
        ("exists already (`overwrite` replaces it)", "exists already (-y replaces it)"),
        ("[1]$HOME`ls`;rm.mp4: no such file", "[1]$HOME`ls`;rm.mp4: no such file"),
    ],
)
def test_the_command_line_shows_options_as_flags(text, shown):
    assert with_flags(text) == shown


@pytest.mark.parametrize(("text", "size"), [("1280x720", (1280, 720)), ("64X64", (64, 64))])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "1280", "1280x", "-2x4", "63x64", "1281x720", "99999x2", "1280x720x3"])
def test_malformed_sizes_are_refused(text):
    with pytest.raises(ValueError, match="`size`"):
        parse_size(text)
