"""pano-sound evaluate scenes"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from ...atomic_file import written_whole
from ..files import WrittenFile, check_folder_of, check_outputs, check_work_folder
from ..help import number_option
from ..parameters import overwrite_option
from .common import common, data_argument, model_option, need_plots, seed_option, show

log = logging.getLogger("pano_sound")


@click.command("scenes")
@data_argument
@model_option
@click.option(
    "--work",
    type=WrittenFile(),
    required=True,
    metavar="FOLDER",
    help="Folder for the scenes' films and for evidence, which later runs use again. Name a new one after changing "
    "a film of DATA or a cue's code.",
)
@click.option(
    "--kind", type=click.Choice(["all", "real", "made"]), default="all", show_default=True, help="Scenes to use."
)
@number_option(
    "--made",
    type=click.IntRange(2),
    default=12,
    show_default=True,
    help="Number of scenes to make per split.",
)
@click.option(
    "--camera",
    type=click.Choice(["still", "shaking", "turning"]),
    default="still",
    show_default=True,
    help="How the camera moves; real films are rotated accordingly.",
)
@click.option(
    "--picture-only",
    is_flag=True,
    help="Also judge cameras that follow what the picture shows and hear nothing (after Cheng et al. 2018).",
)
@click.option("--leave-one-out", is_flag=True, help="Judge each place with fusion weights learnt on the others.")
@click.option(
    "--fit",
    type=WrittenFile(),
    metavar="FILE",
    help="Write fusion weights learnt on the real and the made train scenes.",
)
@click.option(
    "-o", "--output", type=WrittenFile(), metavar="FOLDER", help="Write tables (.csv) and a plot into this folder."
)
@seed_option
@overwrite_option
@common
def scenes(
    data: Path,
    model: str,
    work: Path,
    kind: str,
    made: int,
    camera: str,
    picture_only: bool,
    leave_one_out: bool,
    fit: Path | None,
    output: Path | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Does the planned camera look at the source?

    Measured on real and made scenes, cue by cue. DATA has pano/directions.csv, clips/clips.csv and stills/. Scenes made
    of train clips are for learning, those of val clips for judging. docs/evaluation.md explains each number.
    """
    if fit is not None:
        check_outputs([fit], overwrite)
    if output is not None:
        check_folder_of(output, ["scenes.csv", "summary.csv", "reliability.png"], overwrite)
        need_plots()
    check_work_folder(work, overwrite)
    from ...localize import fusion
    from ...options.listening import ListeningOptions
    from ...research.evaluate import cube_saliency
    from ...research.evaluate import scenes as judging
    from ...research.evaluate.scenes_report import report
    from ...research.train.fusing import learn

    options = ListeningOptions(model=model)
    real = judging.real_scenes(data, work / "real", camera) if kind != "made" else []
    composed = judging.composed_scenes(data, work / "made", "val", made, seed, camera) if kind != "real" else []
    judged = real + composed
    others = judging.of_another_place(real) + judging.of_another_place(composed)

    def heard(scene: judging.LabelledScene, sound_of: judging.LabelledScene | None = None) -> judging.Heard:
        log.info("%s", scene.film.name)
        return judging.collect_evidence(scene, sound_of, options, work / "evidence")

    saliency = cube_saliency.pretrained() if picture_only else None
    own = [heard(scene) for scene in judged]
    swapped = [heard(scene, other) for scene, other in zip(judged, others, strict=True)]
    chosen = fusion.learnt()
    if fit is not None:
        train = judging.composed_scenes(data, work / "made", "train", 2 * made, seed)
        chosen = learn([one for one in own + swapped if one.scene in real] + [heard(scene) for scene in train])
        with written_whole(fit, "w", overwrite=overwrite) as file:
            json.dump(chosen.to_json(), file, indent=1)
        if real and not leave_one_out:
            log.warning("the table judges the real scenes with weights learnt on them; --leave-one-out does not")
    pictures = [judging.picture_map(one, chosen, saliency, work / "evidence") for one in own] if saliency else []
    found = report(own, swapped, chosen, leave_one_out, lambda variant: log.info("%s", variant), pictures)
    if output is not None:
        found.save(output)
    show(found, as_json)
