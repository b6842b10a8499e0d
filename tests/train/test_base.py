"""Training, on a handful of made pictures and sounds: the loss falls, and a stopped run goes on where it was."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import films
import numpy as np
import pytest
import torch

from pano_sound.errors import DataFileError, ModelError, PanoSoundError
from pano_sound.localize.nets import weights
from pano_sound.localize.nets.localizer import TINY, Localizer
from pano_sound.research.datasets.labelled import Item
from pano_sound.research.train import base
from pano_sound.research.train.base import look, train
from pano_sound.research.train.checkpoints import StageState
from pano_sound.research.train.claim import Claim
from pano_sound.research.train.distil import Features
from pano_sound.research.train.heads import Head, fit, mosaics
from pano_sound.research.train.log import Log
from pano_sound.research.train.losses import inside
from pano_sound.research.train.recipe import BaseRecipe
from pano_sound.research.train.sampling import (
    VERSIONS,
    CachedPictures,
    CachedScenes,
    Sampler,
    SoundBank,
    altered,
    box_cells,
)
from pano_sound.research.train.scenes import Pasted
from pano_sound.research.train.start import start_from
from pano_sound.research.train.tagger import STEPS
from pano_sound.research.train.training_set import (
    TrainingScenes,
    clip_frames,
    training_pictures,
    training_sounds,
    with_knowledge,
)

LABELS = ("bell", "dog", "horn", "drum", "cat", "saw", "flute", "bird")


def features_of(encoded: torch.Tensor) -> Features:
    """Features (versions, n, 5, F) of pieces, all of which hold sound."""
    padded = torch.nn.functional.pad(encoded, (0, 0, 0, STEPS - encoded.shape[2]))
    return Features(padded, np.full(encoded.shape[:2], encoded.shape[2]), np.zeros((encoded.shape[1], 0), np.float32))


@pytest.fixture
def sampler(tmp_path: Path) -> Sampler:
    """Eight labels, each with its own direction in feature space, for sounds, pictures and scenes."""
    rng = np.random.default_rng(0)
    sounds = [Item(Path("x"), label, "train") for label in (*LABELS, "rain") for _ in range(4)]
    pictures = [Item(Path("x"), label, "train", (0.1, 0.1, 0.9, 0.9)) for label in (*LABELS, "cup") for _ in range(4)]
    heard = {label: rng.normal(size=16) for label in (*LABELS, "rain")}
    seen = {label: rng.uniform(0, 3, 16) for label in (*LABELS, "cup")}
    rows = [[heard[item.label] + rng.normal(0, 0.3, 16) for _ in range(5)] for item in sounds]
    bank = SoundBank([item.label for item in sounds], features_of(torch.tensor(np.array(rows)[None]).float()))
    maps = np.repeat([np.tile(seen[item.label], (10, 10, 1)) for item in pictures], VERSIONS, axis=0).astype(np.float16)
    scenes = rng.uniform(0, 0.3, (10, 30, 60, 16)).astype(np.float16)
    objects = []
    for k in range(10):
        label = LABELS[k % len(LABELS)]
        scenes[k, 10:16, 20:28] = seen[label]
        objects.append([Pasted(label, 640.0, 320.0, 896.0, 512.0)])
    pairs = {label: [label] for label in LABELS}
    return Sampler(bank, CachedPictures(pictures, maps), CachedScenes(scenes, objects), pairs)


@pytest.mark.slow
def test_a_few_steps_lower_the_loss(sampler: Sampler, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Localizer(**TINY)
    model.trunk.requires_grad_(False)
    model.sound_encoder.requires_grad_(False)
    head = Head(model)
    recipe = BaseRecipe(steps=45, scenes_per_step=4, rate=1e-2, mosaic=4)

    def loss() -> float:
        head.eval()
        rng = np.random.default_rng(99)
        with torch.no_grad():
            return float(head.loss(sampler.pairs(rng, 2), sampler.scene_batch(rng, 4), recipe)[0])

    before = loss()
    fit(head, sampler, recipe, tmp_path, Log(tmp_path / "log.jsonl"))
    assert loss() < 0.8 * before
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 4

    again = Head(Localizer(**TINY))
    again.model.trunk.requires_grad_(False)
    again.model.sound_encoder.requires_grad_(False)
    fit(again, sampler, recipe, tmp_path, Log(tmp_path / "log.jsonl"))  # nothing is left to do but to read it
    torch.testing.assert_close(again.model.visual_head.weight, head.model.visual_head.weight)


def test_a_presence_curve_that_does_not_learn_stays(sampler: Sampler, tmp_path: Path) -> None:
    head = Head(Localizer(**TINY))
    curve = head.steepness.item(), head.middle.item()
    recipe = BaseRecipe(steps=5, scenes_per_step=4, rate=1e-1, mosaic=4, weight_presence=0.0)
    fit(head, sampler, recipe, tmp_path, Log(tmp_path / "log.jsonl"))
    assert (head.steepness.item(), head.middle.item()) == curve


def test_a_mosaic_holds_the_own_picture_and_others_that_do_not_match() -> None:
    match = torch.eye(5, 7, dtype=torch.bool)
    match[0, 1] = True
    raw = torch.arange(7.0)[None, :, None].expand(5, 7, 3)  # each cell says which picture it is of
    joint, target = mosaics(raw, torch.full((4, 3), 0.5), match, 4)
    assert joint.shape == target.shape == (4, 12)
    shown = joint.unflatten(1, (4, 3))[..., 0].int().tolist()
    for own, others in enumerate(shown):
        assert others[0] == own
        assert len(set(others)) == 4
        assert not any(match[own, other] for other in others[1:])
    assert (target[:, :3] == 0.5).all()
    assert not target[:, 3:].any()


def test_a_mosaic_of_few_pictures_never_holds_another_that_matches() -> None:
    match = torch.eye(3, dtype=torch.bool)
    match[0, 1] = True
    raw = torch.rand(3, 3, 4, requires_grad=True)
    joint, target = mosaics(raw, torch.full((3, 4), 0.5), match, 6)
    assert joint.shape == target.shape == (3, 12)
    assert torch.isfinite(joint).sum(dim=1).tolist() == [8, 12, 12]
    inside(joint, target, 0.1).backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
    assert not raw.grad[0, 1].any()


def test_batches_say_what_belongs_together(sampler: Sampler) -> None:
    batch = sampler.pairs(np.random.default_rng(0), silent=3)
    sounds, pictures = batch["match"].shape
    assert (sounds, pictures) == (len(LABELS) + 1, len(LABELS) + 3)
    assert torch.equal(batch["match"][:8, :8], torch.eye(8, dtype=torch.bool))
    assert not batch["match"][8:].any()
    assert not batch["match"][:, 8:].any()
    scene = sampler.scene_batch(np.random.default_rng(0), 6, each=2)
    assert scene["maps"].shape == (6, 16, 30, 60)
    assert scene["targets"].shape == (12, 1800)
    assert scene["scene"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert scene["match"][torch.arange(12), scene["scene"]].all()
    assert ((scene["targets"] > 0.5).sum(1) == 48).all()


def test_too_few_scenes_with_what_sounds_are_told_of(sampler: Sampler) -> None:
    with pytest.raises(PanoSoundError, match="10 of 10 scenes show a thing that has a sound, 11 are needed"):
        sampler.scene_batch(np.random.default_rng(0), 11)


def test_versions_of_a_picture_show_the_same_thing() -> None:
    picture = np.zeros((320, 320, 3), np.uint8)
    picture[100:200, 40:120] = 200
    same, mirrored, coarse = (altered(picture, version, np.random.default_rng(0)) for version in range(VERSIONS))
    assert (same == picture).all()
    assert np.abs(mirrored.astype(int) - picture[:, ::-1]).mean() < 8
    assert coarse.shape == picture.shape
    assert coarse[110:190, 50:110].min() > 100
    assert coarse[:, 200:].max() < 20


def test_films_come_with_their_own_sound_and_what_is_heard_in_them() -> None:
    pairs, groups = with_knowledge(
        {"dog_barking": ["dog"], "bell": ["bell"]},
        ["dog_barking", "clip:park", "clip:park", "clip:sea", "clip:zoo"],
        [["dog"], [], ["dog", "person"], [], ["person"]],
    )
    assert groups == {"~dog": [0, 2], "~person": [2, 4]}
    assert pairs == {
        "dog_barking": ["dog", "clip:park"],
        "bell": ["bell"],
        "~dog": ["dog", "clip:park"],
        "~person": ["person", "clip:park", "clip:zoo"],
        "clip:park": ["clip:park", "dog", "person", "clip:zoo"],
        "clip:sea": ["clip:sea"],
        "clip:zoo": ["clip:zoo", "person", "clip:park"],
    }
    features = features_of(torch.tensor([0.0, 1, 2, 3, 2])[None, :, None, None].expand(1, 5, 5, 16))
    bank = SoundBank(["dog_barking", "clip:park", "clip:park", "clip:sea", "clip:zoo"], features, groups)
    pictures = [Item(Path("x"), label, "train") for label in ("dog", "clip:park", "clip:sea", "cup")]
    scenes = np.zeros((1, 30, 60, 16), np.float16), [[Pasted("person", 0.0, 320.0, 96.0, 512.0)]]
    maps = np.zeros((4 * VERSIONS, 10, 10, 16), np.float16)
    sampler = Sampler(bank, CachedPictures(pictures, maps), CachedScenes(*scenes), pairs, names_per_step=6)
    assert set(sampler.names) == {"dog_barking", "~dog", "~person", "clip:park", "clip:sea", "clip:zoo"}
    batch = sampler.pairs(np.random.default_rng(0), silent=1)
    assert batch["match"].shape == (6, 7)
    assert batch["match"][:6, :6].diagonal().all()
    assert not batch["match"][:, 6].any()
    asked = sampler.scene_batch(np.random.default_rng(0), 1)  # a person, whom only the scene shows
    torch.testing.assert_close(asked["sounds"], torch.full_like(asked["sounds"], 2.0))


def test_two_films_of_one_name_are_two_films(data: Path, tmp_path: Path) -> None:
    (data / "clips").mkdir()
    (data / "clips" / "clips.csv").write_text("file,split\na.mp4,train\na.mov,train\nb.mp4,train\n")
    for name, level in (("a.mp4", 40), ("a.mov", 200), ("b.mp4", 120)):
        films.make_film(data / "clips" / name, films.steady(4, 2), size=(64, 32), levels=[level] * 4)
    frames = clip_frames(data, tmp_path / "work", 1)
    labels = ["clip:a.mp4", "clip:a.mov", "clip:b"]
    assert [frame.label for frame in frames] == labels
    assert [item.label for item in training_sounds(data, 9, 0)] == ["dog", *labels]
    dark, bright, grey = (cv2.imread(str(frame.path)).mean() for frame in frames)
    assert dark < grey < bright


def test_films_and_groups_have_their_share_of_a_batch() -> None:
    films = [f"clip:{k}" for k in range(20)]
    labels, groups = [f"thing {k}" for k in range(30)], [f"~thing {k}" for k in range(20)]
    shown = [*films, *labels]
    names = [*films, *labels]
    bank = SoundBank(
        names, features_of(torch.zeros(1, len(names), 5, 4)), {group: [20 + k] for k, group in enumerate(groups)}
    )
    pairs = {name: [name] for name in names} | {group: [group[1:]] for group in groups}
    scenes = np.zeros((1, 30, 60, 4), np.float16), [[Pasted("thing 1", 0.0, 320.0, 96.0, 512.0)]]
    pictures = [Item(Path("x"), label, "train") for label in shown]
    maps = np.zeros((VERSIONS * len(shown), 10, 10, 4), np.float16)
    sampler = Sampler(bank, CachedPictures(pictures, maps), CachedScenes(*scenes), pairs, names_per_step=24)
    drawn: list[str] = []
    sampler.sounds.draw = lambda names, rng: drawn.extend(names) or torch.zeros(len(names), 4)  # type: ignore
    sampler.pairs(np.random.default_rng(0))
    assert len(drawn) == 24
    assert [sum(name.startswith(kind) for name in drawn) for kind in ("clip:", "~", "thing")] == [6, 4, 14]


def test_what_could_sound_is_no_example_of_silence(sampler: Sampler) -> None:
    pictures = [Item(Path("x"), label, "train") for label in ("dog", "tambourine", "bongo", "cup")]
    pairs = {"dog": ["dog"], "tambourine": ["tambourine"]}  # of which no sound is known
    maps = np.zeros((4 * VERSIONS, 10, 10, 16), np.float16)
    scenes = np.zeros((1, 30, 60, 16), np.float16), [[Pasted("dog", 0.0, 320.0, 96.0, 512.0)]]
    seen = CachedPictures(pictures, maps), CachedScenes(*scenes)
    assert Sampler(sampler.sounds, *seen, pairs, sounding=["bongo"]).silent == ["cup"]


def test_a_sound_that_has_pictures_is_not_ambient(sampler: Sampler) -> None:
    seen = sampler.pictures, sampler.scenes
    assert sampler.ambient == ["rain"]
    assert Sampler(sampler.sounds, *seen, {"dog": ["dog"], "rain": ["cup"]}).ambient == []


def test_what_a_start_lacks_begins_anew(tmp_path: Path) -> None:
    before, model = Localizer(**TINY), Localizer(**TINY, surroundings={"channels": 4, "widths": [3]})
    weights.save(before, tmp_path / "before.safetensors", {})
    start_from(model, tmp_path / "before.safetensors")
    torch.testing.assert_close(model.visual_head.weight, before.visual_head.weight.half().float())
    assert model.surroundings is not None
    assert not model.surroundings.expand.weight.any()
    with pytest.raises(ModelError, match="another architecture"):
        start_from(Localizer(**TINY | {"embedding": 8}), tmp_path / "before.safetensors")


def test_the_presence_curve_continues_from_what_a_start_has_learnt(tmp_path: Path) -> None:
    before, model = Localizer(**TINY), Localizer(**TINY)
    before.set_presence(31.0, 0.5)
    weights.save(before, tmp_path / "before.safetensors", {})
    start_from(model, tmp_path / "before.safetensors")
    head = Head(model)
    assert (head.steepness.item(), head.middle.item()) == (31.0, 0.5)


def test_tags_that_would_not_be_learnt_are_refused(tmp_path: Path) -> None:
    weights.save(Localizer(**TINY, tags=["bell"]), tmp_path / "before.safetensors", {})
    start_from(Localizer(**TINY, tags=["bell"]), tmp_path / "before.safetensors", new_tags=False)
    start_from(Localizer(**TINY, tags=["dog"]), tmp_path / "before.safetensors")
    with pytest.raises(ModelError, match="other tags"):
        start_from(Localizer(**TINY, tags=["dog"]), tmp_path / "before.safetensors", new_tags=False)


def test_box_cells() -> None:
    assert (box_cells(None, 10, 10) == 1).all()
    half = box_cells((0.0, 0.0, 0.5, 1.0), 10, 10)
    assert half[1:, 1:5].min() == 1
    assert half[:, 6:].max() < 0.01


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The tables of a data folder, without files."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "sounds.csv").write_text("file,label,split\nbark.wav,dog,train\n")
    (folder / "pictures.csv").write_text("file,label,split\ndog.jpg,dog,train\ncat.jpg,cat,val\n")
    (folder / "pairs.csv").write_text("sound,picture\ndog,dog\n")
    return folder


def test_a_work_folder_belongs_to_one_training(data: Path, tmp_path: Path) -> None:
    def begin(chosen: BaseRecipe) -> None:
        train(data, tmp_path / "out.safetensors", tmp_path / "work", chosen)

    weights.save(Localizer(**TINY), tmp_path / "before.safetensors", {})
    recipe = BaseRecipe(start=str(tmp_path / "before.safetensors"))
    Claim(tmp_path / "work", data, asdict(recipe)).write()
    with pytest.raises(DataFileError, match="another training: seed"):
        begin(replace(recipe, seed=1))
    (data / "pictures.csv").write_text("file,label,split\ndog.jpg,dog,train\ncat.jpg,cat,val\ncow.jpg,cow,val\n")
    with pytest.raises(DataFileError, match="the tagger is missing"):  # What is held out is not learnt from.
        begin(recipe)
    (data / "dog.jpg").write_bytes(b"another picture")
    with pytest.raises(DataFileError, match="another training: data"):
        begin(recipe)
    (data / "dog.jpg").unlink()
    (data / "bark.wav").write_bytes(b"a sound")
    Claim(tmp_path / "again", data, asdict(recipe)).write()
    (data / "bark.wav").write_bytes(b"another")  # of the same size
    with pytest.raises(DataFileError, match="another training: data"):
        train(data, tmp_path / "out.safetensors", tmp_path / "again", recipe)
    (data / "bark.wav").unlink()
    (data / "pictures.csv").write_text("file,label,split\ncat.jpg,cat,train\ndog.jpg,dog,train\n")
    with pytest.raises(DataFileError, match="another training: data"):
        begin(recipe)
    (data / "pictures.csv").write_text("file,label,split\ndog.jpg,dog,train\n")
    weights.save(Localizer(**TINY), tmp_path / "before.safetensors", {})  # others of the same name
    with pytest.raises(DataFileError, match="another training: start"):
        begin(recipe)


def test_damaged_files_of_a_work_folder_are_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("")
    with pytest.raises(DataFileError, match=r"training\.json: the file is damaged"):
        Claim(tmp_path, data, asdict(BaseRecipe())).check()
    (tmp_path / "head.pt").write_bytes(b"half of it")
    head = Head(Localizer(**TINY))
    with pytest.raises(DataFileError, match=r"head\.pt: the checkpoint is damaged"):
        StageState(tmp_path / "head.pt", "head", head, torch.optim.Adam(head.parameters())).restore()


def test_a_work_folder_of_earlier_lessons_is_refused(data: Path, tmp_path: Path) -> None:
    claim = Claim(tmp_path / "work", data, asdict(BaseRecipe()))
    claim.write()
    claim.check()
    earlier = json.loads(claim.at.read_text())
    del earlier["lessons"]
    claim.at.write_text(json.dumps(earlier))
    with pytest.raises(DataFileError, match="another training: lessons"):
        claim.check()


def test_a_line_that_was_not_written_to_its_end_is_dropped_from_the_log(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write(stage="head", step=0)
    with open(log.path, "a") as file:
        file.write('{"stage": "he')
    log.rewind(20, stage="head")
    log.write(stage="head", step=20)
    assert [json.loads(line)["step"] for line in log.path.read_text().splitlines()] == [0, 20]


def test_pictures_that_are_held_out_take_no_place_of_others(data: Path) -> None:
    rows = [f"{split}{i}.jpg,cup,{split}" for split in ("val", "train") for i in range(20)]
    (data / "pictures.csv").write_text("\n".join(["file,label,split", *rows]))
    assert [item.path.name for item in training_pictures(data, {}, 200)] == [f"train{i}.jpg" for i in range(15)]


def test_another_seed_makes_other_scenes_and_pictures(data: Path, tmp_path: Path) -> None:
    (data / "stills").mkdir()
    for name in ("dog.jpg", *(f"stills/{i}.jpg" for i in range(8))):
        cv2.imwrite(str(data / name), np.random.default_rng(0).integers(0, 255, (60, 120, 3), np.uint8))
    for i in (1, 2):  # with few things, and a crowd
        first, again, other = (TrainingScenes(data, [], ["dog"], 0, seed)(i).picture for seed in (0, 0, 1))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)
    seen = [Item(data / "dog.jpg", "dog", "train")]
    model, maps = Localizer(**TINY), []
    for seed in (0, 1):
        recipe = BaseRecipe(seed=seed, scenes=1, scenes_per_step=1)
        make = TrainingScenes(data, [], ["dog"], 0, seed)
        maps.append(look(model, seen, make, tmp_path / str(seed), recipe)[0].maps)
    assert torch.equal(maps[0][0], maps[1][0])
    assert not torch.equal(maps[0][2], maps[1][2])


def test_without_the_visual_net_its_embeddings_are_kept(data: Path, tmp_path: Path) -> None:
    (data / "stills").mkdir()
    for name in ("dog.jpg", *(f"stills/{i}.jpg" for i in range(8))):
        cv2.imwrite(str(data / name), np.random.default_rng(0).integers(0, 255, (60, 120, 3), np.uint8))
    make, recipe = (
        TrainingScenes(data, [], ["dog"], 0, 0),
        BaseRecipe(scenes=1, scenes_per_step=1, visual=False),
    )
    model = Localizer(**TINY)
    pictures, scenes = look(model, [Item(data / "dog.jpg", "dog", "train")], make, tmp_path / "work", recipe)
    head = Head(model, visual=False)
    maps = head.maps(scenes.draw(1, lambda things: True, np.random.default_rng(0))[0], wrap=True)
    assert maps.shape == (1, 16, 60 * 120)  # 960x1920 pixels, stride 16
    torch.testing.assert_close(maps.norm(dim=1), torch.ones(1, 7200), atol=1e-3, rtol=0)
    seen = head.maps(pictures.draw([0], np.random.default_rng(0))[0], wrap=False)
    assert seen.shape == (1, 16, 400)


def test_sets_without_panoramas_or_pictures_of_what_sounds_are_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "Tagger", lambda data, device: SimpleNamespace(names=[]))
    with pytest.raises(DataFileError, match="no panoramas"):
        train(data, tmp_path / "out.safetensors", tmp_path / "work")
    assert not (tmp_path / "work").exists()
    bank = SoundBank(["bell"], features_of(torch.zeros(1, 1, 5, 16)))
    log = Log(tmp_path / "log.jsonl")
    with pytest.raises(DataFileError, match="no sound of the split train has a picture"):
        base.learn_heads(Localizer(**TINY), bank, {"bell": ["bell"]}, data, tmp_path / "work", BaseRecipe(), log)


def test_several_processes_are_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PanoSoundError, match="single process"):
        train(data, tmp_path / "out.safetensors", tmp_path / "work")


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"seed": -1},
        {"seed": 99_999_999_999_999_999_999},
        {"rate": 0.0},
        {"scenes_per_step": 9000},
        {"sound_batch": 0},
        {"mosaic": 1},
        {"blocks": 17},
        {"live": True, "visual": False},
    ],
)
def test_impossible_recipes_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BaseRecipe(**wrong)
