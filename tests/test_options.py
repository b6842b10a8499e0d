import inspect
import json
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import get_args

import click
import numpy as np
import pytest

import pano_sound
from pano_sound.commands.parameters import options_of
from pano_sound.options.base import described
from pano_sound.options.batch import BatchOptions
from pano_sound.options.camera import PlanOptions, options_behind
from pano_sound.options.flags import command_words, with_flags
from pano_sound.options.input import InputOptions
from pano_sound.options.presets import PRESETS, Preset
from pano_sound.options.steps import CLASSES, PanOptions
from pano_sound.options.values import parse_size, parse_time


@pytest.mark.parametrize("kind", CLASSES)
def test_every_option_has_help_and_a_default_in_its_range(kind):
    kind()
    assert all(about.help.endswith(".") for about in described(kind).values())


@pytest.mark.parametrize(
    ("name", "kind", "choices", "default", "heading", "flag"),
    [
        ("max_speed", float, (), None, "Camera", "--max-speed"),
        ("attention", int, (1, 2), None, "Listening", "--attention"),
        ("start", str, (), None, "Input", "--start"),
        ("stereo", str, ("mono", "top-bottom", "left-right"), None, "Input", "--stereo"),
        ("every", float, (), 0.5, "Listening", "--every"),
        ("model", str, (), "base", "Listening", "--model"),
        ("size", str, (), None, "View", "--size"),
        ("crf", float, (), None, "Video", "--crf"),
    ],
)
def test_options_are_described_by_their_types(name, kind, choices, default, heading, flag):
    about = described(PanOptions)[name]
    assert (about.kind, about.choices, about.default) == (kind, choices, default)
    assert (about.heading, about.flag) == (heading, flag)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"fow": 80}, TypeError, "fow"),
        ({"fov": "80"}, TypeError, "`fov` must be a number, not '80'"),
        ({"fov": True}, TypeError, "`fov` must be a number, not True"),
        ({"fov": 300}, ValueError, "`fov` must be from 20 to 150, not 300"),
        ({"fov": float("nan")}, ValueError, "`fov` must be from 20 to 150, not nan"),
        ({"audio_track": 1.5}, TypeError, "`audio_track` must be a whole number, not 1.5"),
        ({"audio_track": 0}, ValueError, "`audio_track` must be at least 1, not 0"),
        ({"window": None}, TypeError, "`window` must be a number, not None"),
        ({"listen": "left"}, ValueError, "`listen` must be one of auto, mono, spatial, not 'left'"),
        ({"attention": True}, TypeError, "`attention` must be one of 1, 2, not True"),
        ({"attention": "1"}, TypeError, "`attention` must be one of 1, 2, not '1'"),
        ({"size": (1280, 720)}, TypeError, r"`size` must be text, not \(1280, 720\)"),
        ({"bitrate": 4_000_000}, TypeError, "`bitrate` must be text, not 4000000"),
        ({"model": 5}, TypeError, "`model` must be text or a path, not 5"),
        ({"sound": 5}, TypeError, "`sound` must be text or a path, not 5"),
        ({"start": [1]}, TypeError, r"`start` must be text or a number, not \[1\]"),
        ({"end": Path("1:30")}, TypeError, "`end` must be text or a number, not "),
        ({"start": "soon"}, ValueError, "`start` must look like 90, 1:30"),
    ],
)
def test_wrong_names_and_values_are_named(given, error, says):
    with pytest.raises(error, match=says):
        PanOptions(**given)


@pytest.mark.parametrize("name", ["analyse", "overlay", "pan", "plan", "render"])
def test_public_functions_name_and_type_every_parameter(name):
    parameters = inspect.signature(getattr(pano_sound, name)).parameters.values()
    assert all(p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
    assert all(p.annotation is not p.empty and "Any" not in str(p.annotation) for p in parameters)


def test_options_of_pan_are_those_of_its_steps_and_survive_json():
    options = PanOptions(fov=80.0, start="1:30", crf=20)
    assert options.part(PlanOptions) == PlanOptions(fov=80.0)
    assert PanOptions.from_json({**options.to_json(), "weights": "of another time"}) == options


def test_options_that_an_earlier_version_did_not_have_get_their_defaults():
    """A batch of that version is tried again with the settings in its manifest."""
    settings = PanOptions(fov=80.0).to_json()
    del settings["device"]
    assert PanOptions.from_json(settings) == PanOptions(fov=80.0)


def test_numbers_of_other_kinds_survive_json():
    options = PanOptions(fov=np.float32(80.5), crf=np.int64(20), every=Fraction(1, 2), audio_track=np.int32(2))
    assert PanOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert (options.fov, options.every, options.audio_track) == (80.5, 0.5, 2)


@pytest.mark.parametrize(
    ("time", "seconds"), [(1 / 3, 1 / 3), (1e-5, 1e-5), (np.float32(2.7), 2.7), (Fraction(1001, 30000), 0.0333667)]
)
def test_times_that_were_computed_are_understood(time, seconds):
    assert PanOptions(start=time).start == time
    assert float(parse_time(time)) == pytest.approx(seconds, rel=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_complete_and_given_options_win(preset):
    resolved = PlanOptions(preset=preset, fov=77.0).resolved()
    assert resolved.to_json() == {**PRESETS[preset].to_json(), "fov": 77.0}
    assert list(PRESETS) == list(get_args(Preset))
    unsaid = {"preset", "size", "aspect"}
    missing = set(described(PlanOptions)) - set(vars(PRESETS[preset])) - unsaid
    assert not missing or preset == "paper"


def test_unused_and_conflicting_options_are_refused():
    with pytest.raises(ValueError, match="`min_hold` is not used by `preset='paper'`"):
        PlanOptions(preset="paper", min_hold=3.0)
    with pytest.raises(ValueError, match="`size` and `aspect`"):
        PlanOptions(size="640x360", aspect="16:9")
    with pytest.raises(ValueError, match="`attention` and `listen='spatial'`"):
        PanOptions(attention=1, listen="spatial")
    with pytest.raises(ValueError, match="`min_fov`"):
        PlanOptions(min_fov=110.0, max_fov=100.0)


@pytest.mark.parametrize(
    ("asked", "fov", "narrowest", "widest"),
    [
        ({}, 90, 46.4, 104.3),
        ({"fov": 30.0}, 30, 30, 104.3),
        ({"fov": 130.0}, 130, 46.4, 130),
        ({"fov": 110.0, "min_fov": 108.0}, 110, 108, 110),
        ({"max_fov": 80.0}, 80, 46.4, 80),
        ({"max_fov": 40.0}, 40, 40, 40),
        ({"min_fov": 100.0}, 100, 100, 104.3),
        ({"min_fov": 110.0}, 110, 110, 110),
        ({"fov": 65.0, "aspect": "9:16"}, 65, 39.4305, 104.3),  # horizontally
        ({"fov": 65.0, "size": "720x1280"}, 65, 39.4305, 104.3),
        ({"min_fov": 70.0, "aspect": "9:16"}, 102.4479, 70, 104.3),
        ({"fov": 130.0, "max_fov": 110.0, "zoom_speed": 0.0}, 130, 46.4, 110),
        ({"max_fov": 40.0, "zoom_speed": 0.0}, 90, 40, 40),
    ],
)
def test_the_range_of_the_zoom_holds_the_field_of_view(asked, fov, narrowest, widest):
    found = PlanOptions(preset="lively", **asked).resolved()
    assert (found.fov, found.min_fov, found.max_fov) == pytest.approx((fov, narrowest, widest), abs=1e-3)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"fov": 130.0, "max_fov": 110.0}, "`fov=130` shows 130° from left to right, more than `max_fov=110` allows"),
        ({"fov": 50.0, "min_fov": 55.5}, "`fov=50` shows 50° from left to right, less than `min_fov=55.5` allows"),
        ({"fov": 65.0, "min_fov": 50.0, "aspect": "9:16"}, "`fov=65` shows 39.43° from left to right, less than"),
    ],
)
def test_a_field_of_view_outside_a_range_that_was_asked_for_is_refused(asked, says):
    with pytest.raises(ValueError, match=says):
        PlanOptions(zoom_speed=5.0, **asked)


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
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "1280", "1280x", "-2x4", "63x64", "1281x720", "99999x2", "1280x720x3"])
def test_malformed_sizes_are_refused(text):
    with pytest.raises(ValueError, match="`size`"):
        parse_size(text)


OTHER = PanOptions(
    projection="eac",
    start="1:30",
    duration="0.5",
    audio_track=2,
    sound="my own.wav",
    max_damage=0.125,
    model="-weights.safetensors",
    attention=2,
    aspect="9:16",
    fov=77.0,
    yaw=-20.5,
    preset="lively",
    home_after=0.0,
    codec="libx265",
    crf=0.0,
    output_sound="keep",
)


@pytest.mark.parametrize(
    "options", [OTHER, PanOptions(), BatchOptions(reports=True, workers=3), BatchOptions(name="{stem} 'b'.mov")]
)
def test_options_as_words_are_read_as_the_same_options(options):
    kind = type(options)

    @click.command()
    @options_of(kind)
    def command(options):
        return options

    assert command.main(command_words(kind, options.to_json()), standalone_mode=False) == options


def test_words_are_few_and_those_of_the_class():
    assert command_words(PanOptions, PanOptions().to_json()) == []
    assert command_words(BatchOptions, BatchOptions(reports=True).to_json()) == ["--reports"]
    assert command_words(PlanOptions, OTHER.to_json())[:4] == ["--preset", "lively", "--home-after", "0"]
    words = command_words(InputOptions, OTHER.to_json(), lambda name: f"../{name}")
    assert words[words.index("--sound") + 1] == "../my own.wav"
    assert "--fov" not in words


def test_settings_tell_the_options_behind_them():
    assert options_behind(PlanOptions(preset="calm", fov=80.0).resolved().to_json()) == {"preset": "calm", "fov": 80.0}
    assert options_behind({}) == {}
    assert options_behind({"preset": ["x"], "fov": "wide", "model": "base"}) == {"preset": ["x"], "fov": "wide"}
    shapes, views = (None, "9:16", "4:3", "3:4", "1:1"), (None, 25.0, 47.0, 110.0, 149.9)
    limits = (None, 60.0, 110.0), (None, 40.0, 61.3, 120.0)
    for preset, aspect, fov, narrowest, widest in product(PRESETS, shapes, views, *limits):
        try:
            options = PlanOptions(preset=preset, aspect=aspect, fov=fov, min_fov=narrowest, max_fov=widest)
        except ValueError:
            continue
        settings = options.resolved().to_json()
        assert PlanOptions(**options_behind(settings)).resolved().to_json() == settings, options
