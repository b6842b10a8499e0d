"""The paper's training on made examples: losses by hand, batches, resuming, several processes, weights that load."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from waiting import PATIENCE, wait_until

from pano_sound.errors import DataFileError, InputError, PanoSoundError
from pano_sound.localize.nets import files, weights
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.localize.nets.paper import PAPER_TINY, PaperLocalizer
from pano_sound.research.datasets.examples import Example, read_picture
from pano_sound.research.datasets.shards import Shards
from pano_sound.research.train.batches import Cached, Draw, Live, select, targets_of, window
from pano_sound.research.train.curves import Curves
from pano_sound.research.train.objective import Objective, box_cross_entropy, box_target, distance_ratio
from pano_sound.research.train.paper import PaperRecipe, start, train
from pano_sound.research.train.parallel import Processes

SECONDS = 1.0


def examples(count: int = 16, boxed: int = 8) -> list[Example]:
    """A bright square left or right, with a high or low tone that says where; two examples to a recording."""

    def make(i: int) -> Example:
        left = i // 2 % 2 == 0

        def picture() -> np.ndarray:
            canvas = np.full((64, 64, 3), 40 + i, np.uint8)
            canvas[16:48, slice(4, 28) if left else slice(36, 60)] = (250, 20, 20) if left else (20, 20, 250)
            return canvas

        def sound(rate: int) -> np.ndarray:
            t = np.arange(round(SECONDS * rate)) / rate
            return (0.5 * np.sin(2 * np.pi * (1500 if left else 300) * t)).astype(np.float32)

        box = (0.0625, 0.25, 0.4375, 0.75) if left else (0.5625, 0.25, 0.9375, 0.75)
        return Example(f"e{i}", f"v{i // 2}", picture, sound, ((box,),) if i < boxed else ())

    return [make(i) for i in range(count)]


def telling(model: Localizer) -> Localizer:
    """The model with random frozen nets through which differences come: no biases, and gains that keep their size."""
    torch.manual_seed(0)
    for module in [*model.trunk.modules(), *model.sound_encoder.modules()]:
        if isinstance(module, (torch.nn.Conv1d, torch.nn.Conv2d)):
            torch.nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    if isinstance(model, PaperLocalizer):
        model.eval()
        wave, picture = (examples(1)[0].sound(model.sound_rate), examples(1)[0].picture())
        with torch.no_grad():  # f_s and v about 2 units long, so that distances leave the softmax room to learn
            f_s = model.sound_features(torch.from_numpy(wave)).mean(0)
            model.sound_encoder.convolutions[-1].weight.mul_(2 / f_s.norm())
            v = model.trunk(torch.from_numpy(picture).permute(2, 0, 1)[None].float())
            model.trunk.features[-1].weight.mul_(2 / v.norm(dim=1).mean())
    return model


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    torch.manual_seed(0)
    weights.save(telling(PaperLocalizer(**PAPER_TINY)), tmp_path / "tiny.safetensors", {"name": "tiny"})
    return str(tmp_path / "tiny.safetensors")


def loss(model: Localizer, folder: Path, mode: str, given: list[Example]) -> float:
    """The mean loss of a model over ten batches."""
    batches = Cached(model, given, folder).draw(select(given, mode, -1, -1, 0), 8, 99)
    objective = Objective(model, PaperRecipe(mode=mode).weight).eval()
    with torch.no_grad():
        return float(np.mean([float(objective(batches.batch(k))["total"].mean()) for k in range(10)]))


def recipe(tiny: str, **changes: object) -> PaperRecipe:
    return replace(PaperRecipe(start=tiny, steps=12, batch=4, rate=1e-3, checkpoint_every=5), **changes)  # type: ignore[arg-type]


def test_distance_ratio_by_hand() -> None:
    f_v = torch.zeros(3, 2)
    far, near = torch.tensor([[3.0, 4.0]] * 3), torch.tensor([[0.6, 0.8]] * 3)
    even = distance_ratio(f_v, near, near)
    torch.testing.assert_close(even, torch.full((3,), 0.5))
    plus = math.exp(1) / (math.exp(1) + math.exp(5))
    torch.testing.assert_close(distance_ratio(f_v, near, far), torch.full((3,), 2 * plus**2))
    torch.testing.assert_close(distance_ratio(f_v, far, near), torch.full((3,), 2 * (1 - plus) ** 2))


def test_box_cross_entropy_by_hand() -> None:
    attention = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.7, 0.1, 0.1, 0.1]])
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    expected = torch.tensor([-(math.log(0.5) + math.log(0.25)) / 2, 0.0])
    torch.testing.assert_close(box_cross_entropy(attention, target), expected)


def test_box_target() -> None:
    target = box_target(((0.25, 0.0, 0.75, 0.5),), 4, 4)
    assert target.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    small = box_target(((0.3, 0.3, 0.32, 0.32),), 4, 4)
    assert small.sum() == small[1, 1] == 1
    assert box_target((), 4, 4).sum() == 0


def test_one_annotator_of_several_is_drawn_and_ambient_sounds_have_no_place() -> None:
    three = ((), ((0.0, 0.0, 0.5, 1.0),), ((0.5, 0.0, 1.0, 1.0),))
    example = replace(examples(1)[0], boxes=three)
    found = {tuple(targets_of([example], (1, 2), np.array([pick]))[0][0].tolist()) for pick in range(4)}
    assert found == {(1.0, 0.0), (0.0, 1.0)}
    targets, labelled = targets_of([replace(example, ambient=True)], (1, 2), np.array([0]))
    assert targets.sum() == labelled.sum() == 0


def test_negatives_are_of_other_recordings_and_batches_are_the_seeds() -> None:
    draw = Draw(examples(), 6, seed=3)
    for step in range(20):
        anchors, negatives, _ = draw.step(step)
        assert len(set(anchors)) == 6
        assert (draw.videos[anchors] != draw.videos[negatives]).all()
        for one, again in zip(draw.step(step), Draw(examples(), 6, seed=3).step(step), strict=True):
            np.testing.assert_array_equal(one, again)
    assert (Draw(examples(), 6, seed=4).step(0)[0] != draw.step(0)[0]).any()
    parts = [Draw(examples(), 6, 3, part=(rank, 2)).step(5) for rank in (0, 1)]
    for k, whole in enumerate(draw.step(5)):
        np.testing.assert_array_equal(np.stack([parts[0][k], parts[1][k]], 1).ravel(), whole)
    with pytest.raises(DataFileError, match="one recording"):
        Draw(examples(2), 2, 0)
    for wrong in (3, 30):
        with pytest.raises(DataFileError, match=f"batches of {wrong} examples cannot be shared evenly by 4 processes"):
            Draw(examples(32), wrong, 0, part=(0, 4))


def test_a_set_smaller_than_a_batch_is_shared_evenly() -> None:
    parts = [Draw(examples(25), 30, 0, part=(rank, 2)).step(0)[0] for rank in (0, 1)]
    assert [len(part) for part in parts] == [12, 12]
    assert len(set(np.concatenate(parts))) == 24
    assert len(Draw(examples(25), 30, 0).step(0)[0]) == 25
    with pytest.raises(DataFileError, match="3 examples cannot be shared by 4 processes"):
        Draw(examples(3), 8, 0, part=(0, 4))


def test_select_hides_boxes() -> None:
    given = examples(16, boxed=8)
    kinds = {mode: select(given, mode, -1, -1, 0) for mode in ("unsupervised", "supervised", "semi")}
    assert {mode: (len(kind), sum(any(e.boxes) for _, e in kind)) for mode, kind in kinds.items()} == {
        "unsupervised": (16, 0),
        "supervised": (8, 8),
        "semi": (16, 8),
    }
    few, more = (select(given, "semi", 3, count, 0) for count in (4, 9))
    assert (len(few), sum(any(e.boxes) for _, e in few)) == (7, 3)
    assert {i for i, _ in few} < {i for i, _ in more}
    assert len({i for i, _ in more}) == 12
    with pytest.raises(DataFileError, match="no example has boxes"):
        select(examples(8, 0), "supervised", -1, -1, 0)


@pytest.mark.parametrize(
    ("mechanism", "mode"),
    [
        (2, "semi"),
        *(
            pytest.param(*both, marks=pytest.mark.slow)
            for both in itertools.product((1, 2), ("supervised", "semi", "unsupervised"))
            if both != (2, "semi")
        ),
    ],
)
def test_training_lowers_the_loss_and_writes_weights(tiny: str, tmp_path: Path, mode: str, mechanism: int) -> None:
    chosen = recipe(tiny, mode=mode, mechanism=mechanism, steps=80, batch=8, rate=1e-2)
    before = loss(start(tiny, mechanism, 0)[0].eval(), tmp_path / "work", mode, examples())
    model = train(examples(), tmp_path / "out.safetensors", tmp_path / "work", chosen)
    assert loss(model, tmp_path / "work", mode, examples()) < before - 0.03
    records = [json.loads(line) for line in (tmp_path / "work" / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 20, 40, 60, 79]
    assert ("supervised" in records[0], "unsupervised" in records[0]) == (mode != "unsupervised", mode != "supervised")
    loaded = weights.load(tmp_path / "out.safetensors")
    assert isinstance(loaded, PaperLocalizer)
    assert loaded.mechanism == mechanism
    torch.testing.assert_close(loaded.audio_head[1].weight, model.audio_head[1].weight, atol=1e-3, rtol=1e-2)
    about = json.loads(files.read_metadata(tmp_path / "out.safetensors")["recipe"])
    counted = {"unsupervised": (0, 16), "supervised": (8, 0), "semi": (8, 8)}[mode]
    assert (about["mode"], about["labelled"], about["unlabelled"]) == (mode, *counted)


@pytest.mark.slow
def test_supervised_attention_follows_the_sound(tiny: str, tmp_path: Path) -> None:
    """A picture with both squares, never trained on: the left half gets more attention from the left one's tone."""
    chosen = recipe(tiny, mode="supervised", steps=150, batch=8, rate=1e-2)
    model = train(examples(16, 16), tmp_path / "out.safetensors", tmp_path / "work", chosen)
    both = np.full((64, 64, 3), 60, np.uint8)
    both[16:48, 4:28], both[16:48, 36:60] = (250, 20, 20), (20, 20, 250)
    x = torch.from_numpy(np.kron(both, np.ones((5, 5, 1), np.uint8))).permute(2, 0, 1)[None]
    left = []
    for i in (0, 2):
        wave = torch.from_numpy(examples()[i].sound(model.sound_rate))
        with torch.inference_mode():
            h = model.sound_embedding(model.sound_features(wave).mean(0)[None])
            left.append(float(model.attention(model.respond(model.visual(x, wrap=False), h))[0, :, :10].sum()))
    assert left[0] > 0.5 > left[1]


def test_base_learns_its_heads_on_its_frozen_nets(tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = telling(Localizer(**TINY))
    weights.save(base, tmp_path / "base.safetensors", {"name": "base"})
    chosen = PaperRecipe(mode="semi", start=str(tmp_path / "base.safetensors"), steps=20, batch=8, rate=1e-2)
    before, _ = start(chosen.start, 1, 0, heads=True)
    model = train(examples(), tmp_path / "out.safetensors", tmp_path / "work", chosen)
    for part in ("trunk", "sound_encoder"):
        for name, value in getattr(before, part).state_dict().items():
            torch.testing.assert_close(getattr(model, part).state_dict()[name], value)
    assert (model.visual_head.weight - before.visual_head.weight).abs().max() > 0.01
    assert type(model) is Localizer


def test_tags_stay_with_the_sound_net_that_they_were_learnt_on(tmp_path: Path) -> None:
    base = Localizer(**TINY, tags=["bell", "dog"])
    weights.save(base, tmp_path / "base.safetensors", {"name": "base"})
    chosen = PaperRecipe(start=str(tmp_path / "base.safetensors"), steps=1, batch=4)
    frozen = train(examples(), tmp_path / "out.safetensors", tmp_path / "work", chosen)
    optimiser = torch.load(tmp_path / "work" / "checkpoint.pt", weights_only=True)["optimiser"]
    assert len(optimiser["state"]) == len(optimiser["param_groups"][0]["params"])  # as several processes demand
    heard = torch.rand(3, base.sound_encoder.features)
    torch.testing.assert_close(frozen.tag_scores(heard), base.tag_scores(heard), atol=1e-3, rtol=1e-3)
    for heads in (True, False):
        assert start(chosen.start, 1, 0, heads=heads, whole=True)[0].tags == []


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_same_batches(tiny: str, tmp_path: Path) -> None:
    whole = train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, mode="semi"))
    train(examples(), tmp_path / "b.safetensors", tmp_path / "b", recipe(tiny, mode="semi", steps=7))
    rest = train(examples(), tmp_path / "b.safetensors", tmp_path / "b", recipe(tiny, mode="semi"))
    for name, value in whole.state_dict().items():
        assert torch.equal(rest.state_dict()[name], value), name
    steps = [json.loads(line)["step"] for line in (tmp_path / "b" / "log.jsonl").read_text().splitlines()]
    assert steps == [0, 6, 11]


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_checkpoint(tiny: str, tmp_path: Path) -> None:
    """kill -9 while it trains: the checkpoint is whole, and leads to the weights of a run that nobody stopped."""
    endless = f"t.recipe({tiny!r}, mode='semi', steps=10**6)"
    killed = beside(tmp_path, f"t.train(t.examples(), folder / 'b.safetensors', folder / 'b', {endless})\n")
    wait_until((tmp_path / "b" / "checkpoint.pt").exists, killed)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "b.safetensors").exists()
    done = torch.load(tmp_path / "b" / "checkpoint.pt", weights_only=True)["step"]
    assert done % 5 == 0
    chosen = recipe(tiny, mode="semi", steps=done + 7)
    rest = train(examples(), tmp_path / "b.safetensors", tmp_path / "b", chosen)
    whole = train(examples(), tmp_path / "a.safetensors", tmp_path / "a", chosen)
    for name, value in whole.state_dict().items():
        assert torch.equal(rest.state_dict()[name], value), name


def test_checkpoints_of_another_recipe_or_damaged_are_refused(tiny: str, tmp_path: Path) -> None:
    train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, steps=2))
    with pytest.raises(DataFileError, match="another recipe: mode, seed"):
        train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, seed=1, mode="semi"))
    with pytest.raises(DataFileError, match="another set"):
        train(examples(15), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, steps=3))
    with pytest.raises(DataFileError, match="of 2 steps, more than steps=1"):
        train(examples(), tmp_path / "short.safetensors", tmp_path / "a", recipe(tiny, steps=1))
    before = Path(tiny).read_bytes()
    weights.save(PaperLocalizer(**PAPER_TINY), tiny, {"name": "tiny"})
    with pytest.raises(DataFileError, match="began with other nets"):
        train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, steps=3))
    Path(tiny).write_bytes(before)
    old = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    del old["recipe"]["nets"]
    torch.save(old, tmp_path / "a" / "checkpoint.pt")
    with pytest.raises(DataFileError, match="of an earlier version"):
        train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, steps=3))
    del old["step"]
    for junk in (lambda at: at.write_bytes(b"junk"), lambda at: torch.save(old, at)):
        junk(tmp_path / "a" / "checkpoint.pt")
        with pytest.raises(DataFileError, match="checkpoint is damaged"):
            train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, steps=2))
    (tmp_path / "a" / "checkpoint.pt").unlink()
    (sounds,) = (tmp_path / "a").glob("sounds-*.npz")
    for content in (b"", b"junk", sounds.read_bytes()[:-100]):
        sounds.write_bytes(content)
        with pytest.raises(DataFileError, match=r"sounds-.*: the file is damaged \(remove it"):
            train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, steps=2))


def test_batches_that_do_not_divide_are_refused_before_features_are_computed(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Processes, "__enter__", lambda self: self)
    monkeypatch.setattr(Processes, "__exit__", lambda *_: None)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(DataFileError, match="batches of 4 examples cannot be shared evenly by 3 processes"):
        train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny))
    assert not (tmp_path / "a").exists()


def test_a_loss_that_is_no_number_ends_training(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(PanoSoundError, match=r"the loss is (nan|inf) at step"):
        train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, rate=1e9))
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.slow
def test_training_whole_changes_trunk_and_sound_net(tiny: str, tmp_path: Path) -> None:
    before, _ = start(tiny, 1, 0)
    model = train(examples(), tmp_path / "a.safetensors", tmp_path / "a", recipe(tiny, steps=3, whole=True))
    for name in ("trunk.features.0.weight", "sound_encoder.convolutions.0.weight"):
        assert (model.state_dict()[name] - before.state_dict()[name]).abs().max() > 1e-4


def test_cached_and_live_batches_agree(tiny: str, tmp_path: Path) -> None:
    model, _ = start(tiny, 1, 0)
    model.eval()
    given = examples()
    cached = Cached(model, given, tmp_path).draw(select(given, "semi", -1, -1, 0), 6, 0)
    live = Live(model, [e for _, e in select(given, "semi", -1, -1, 0)], 6, 0)
    objective = Objective(model, 0.5).eval()
    with torch.no_grad():
        one, other = (objective(batches.batch(4)) for batches in (cached, live))
    for name in ("total", "unsupervised", "supervised"):
        torch.testing.assert_close(one[name], other[name], atol=2e-2, rtol=2e-2)


def test_shards_need_two_examples_of_a_batch_in_each_process(tiny: str, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    names = [tmp_path / f"{i}.tar" for i in range(2)]
    for name in names:
        name.touch()
    model, shards = start(tiny, 1, 0)[0].eval(), Shards([str(name) for name in names], part=(0, 2))
    with pytest.raises(DataFileError, match="need 2 examples of a batch for each process") as refused:
        Live(model, shards, 2, 0, (0, 2))
    assert refused.value.hint == "set batch to at least 4"


def test_bad_examples_are_left_out_and_many_are_an_error(
    tiny: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_: object) -> np.ndarray:
        raise InputError("no such file", path="gone")

    given = examples(16)
    given[3], model = replace(given[3], picture=gone), start(tiny, 1, 0)[0].eval()
    assert [e.key for e in Cached(model, given, tmp_path).examples] == [e.key for i, e in enumerate(given) if i != 3]
    assert [e.key for e in Cached(model, given, tmp_path).examples] == [e.key for i, e in enumerate(given) if i != 3]
    assert caplog.text.count("e3 is left out") == 1
    live = Live(model, given, 16, 0).batch(0)
    assert len(live["pictures"]) == len(live["sounds"]) == len(live["targets"]) == 15
    given = [replace(e, sound=gone) if i % 4 == 0 else e for i, e in enumerate(given)]
    with pytest.raises(DataFileError, match="cannot be read"):
        Cached(model, given, tmp_path / "other")


def test_bad_examples_of_an_earlier_run_count_and_are_read_again_if_it_did_not_get_past_them(
    tiny: str, tmp_path: Path
) -> None:
    mended = False

    def gone(good: Callable[[], np.ndarray]) -> np.ndarray:
        if mended:
            return good()
        raise InputError("there is nothing", path="x")

    given, model = examples(40), start(tiny, 1, 0)[0].eval()
    for i in (0, 1, 2, 20, 21, 22):  # of the first 16, and of the next, which threads read: 4 may be bad
        given[i] = replace(given[i], picture=partial(gone, given[i].picture))
    for _ in range(2):
        with pytest.raises(DataFileError, match=r"[56] of 40 examples cannot be read"):
            Cached(model, given, tmp_path)
    mended = True
    assert len(Cached(model, given, tmp_path).examples) == 37  # what was not read in time is not wrong for ever


def test_features_are_computed_anew_for_other_files(tiny: str, tmp_path: Path) -> None:
    model = start(tiny, 1, 0)[0].eval()

    def loud(level: float, rate: int) -> np.ndarray:
        return np.full(rate, level, np.float32)

    def sounds(level: float) -> torch.Tensor:
        return Cached(model, [replace(e, sound=partial(loud, level)) for e in examples(4)], tmp_path).sounds

    assert torch.equal(sounds(0.1), sounds(0.1))
    assert not torch.equal(sounds(0.1), sounds(0.2))


def test_features_are_computed_anew_for_files_that_have_changed(tiny: str, tmp_path: Path) -> None:
    model = start(tiny, 1, 0)[0].eval()
    given = [replace(e, picture=partial(read_picture, tmp_path / f"{e.key}.png")) for e in examples(4)]

    def maps(level: int) -> np.ndarray:
        for e in given:
            cv2.imwrite(str(tmp_path / f"{e.key}.png"), np.full((8, 8, 3), level, np.uint8))
        return np.array(Cached(model, given, tmp_path / "work").maps)

    assert not np.array_equal(maps(10), maps(200))


def test_a_window_is_the_middle_of_a_long_sound() -> None:
    example = replace(examples(1)[0], sound=lambda rate: np.arange(30 * rate, dtype=np.float32))
    assert window(example, 10).tolist() == list(range(50, 250))
    with pytest.raises(InputError):
        window(replace(example, sound=lambda rate: np.zeros(0, np.float32)), 10)


def test_curves_are_written_for_tensorboard_too(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    curves = Curves(tmp_path)
    for step in (0, 20):
        curves.write(step=step, loss=1.0 / (step + 1), stage="head")
    curves.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(0, 1.0), (20, pytest.approx(1 / 21))]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_random_weights_are_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import pano_sound.research.train.paper as module

    monkeypatch.setenv("PANO_SOUND_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "PAPER", PAPER_TINY)
    assert start("paper", 2, 0)[1] == "vgg16 random, soundnet random"
    assert "vgg16 begins with random weights" in caplog.text
    assert "pano-sound models import soundnet" in caplog.text


def beside(folder: Path, code: str, *launcher: str) -> subprocess.Popen[bytes]:
    """A process that runs code which has `t` (this file) and `folder`."""
    (folder / "run.py").write_text(
        f"from pathlib import Path\nimport torch\nimport test_paper as t\nfolder = Path({str(folder)!r})\n{code}"
    )
    paths = os.pathsep.join(str(folder) for folder in Path(__file__).parents[:3])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen([sys.executable, *launcher, "run.py"], cwd=folder, env=environment)


def in_two_processes(folder: Path, code: str) -> None:
    """Run code in two processes by torchrun, to their end."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert beside(folder, code, *launcher).wait(PATIENCE) == 0


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tiny: str, tmp_path: Path) -> None:
    """Half batches in two processes over gloo lead to the weights of one process's whole batches."""
    chosen = recipe(tiny, mode="semi", steps=4, batch=8, rate=1e-2)
    alone = train(examples(), tmp_path / "one.safetensors", tmp_path / "one", chosen)
    in_two_processes(
        tmp_path,
        f"chosen = t.recipe({tiny!r}, mode='semi', steps=4, batch=8, rate=1e-2)\n"
        "t.train(t.examples(), folder / 'two.safetensors', folder / 'two', chosen)\n",
    )
    state = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)["module"]
    learnt = [name for name in state if name.startswith(("model.audio_head", "model.code_head"))]
    assert len(learnt) == 8
    for name in learnt:
        torch.testing.assert_close(state[name], alone.state_dict()[name.removeprefix("model.")])
    assert (alone.audio_head[1].weight - start(tiny, 1, 0)[0].audio_head[1].weight).abs().max() > 0.01
    assert len((tmp_path / "two" / "log.jsonl").read_text().splitlines()) == 2


def gradients(tiny: str, processes: Processes) -> dict[str, torch.Tensor]:
    """Of one semi-supervised step of the whole network, read live, in float32."""
    import pano_sound.research.train.objective as module

    module.has_bfloat16 = lambda device: False  # in a process of its own, or in a test that puts it back
    model, _ = start(tiny, 1, 0)
    objective = Objective(model.requires_grad_(True), 0.5)
    shared = processes.shared(objective).train()
    shared(Live(model, examples(), 8, 0, processes.part).batch(3))["total"].mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.slow
def test_two_processes_average_the_gradients_of_the_whole_network(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pano_sound.research.train.objective.has_bfloat16", lambda device: False)
    alone = gradients(tiny, Processes())
    in_two_processes(
        tmp_path,
        "with t.Processes() as processes:\n"
        f"    found = t.gradients({tiny!r}, processes)\n"
        "    torch.save(found, folder / f'{processes.rank}.pt')\n",
    )
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert alone.keys() == first.keys() == second.keys()
    assert alone["trunk.features.0.weight"].abs().max() > 0
    for name, gradient in alone.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
        size = float(gradient.abs().max())
        torch.testing.assert_close(first[name], gradient, rtol=1e-3, atol=1e-3 * size)
