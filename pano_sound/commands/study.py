"""pano-sound study"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import printable
from .files import ReadFile, WrittenFile, check_folder_of
from .help import Command, HeadedOption
from .parameters import json_option, overwrite_option
from .progress import ProgressBar, wrote
from .verbosity import verbosity

PAGE = "study.html"


@click.group("study")
def command() -> None:
    """Ask people which camera they prefer.

    This is the paper's user study (Table VII). 'study make' pans your films by several methods and writes a page to
    vote on; 'study tally' counts the votes.
    """


@command.command("make", cls=Command)
@click.argument("sources", metavar="INPUT...", type=ReadFile(), nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=WrittenFile(file_okay=False),
    required=True,
    metavar="FOLDER",
    cls=HeadedOption,
    help="Where the pans and the page go.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    cls=HeadedOption,
    help="Only this method. Repeatable.  [default: ours, front, and each cue]",
)
@overwrite_option
@verbosity
def make(sources: tuple[Path, ...], output: Path, methods: tuple[str, ...], overwrite: bool, quiet: bool) -> None:
    """Pan films by several methods, and write the page to vote on.

    Methods: 'ours'; each cue alone ('semantic', 'motion', 'synchrony', and 'spatial' for ambisonic or 'stereo' for
    stereo sound); 'front', a camera that always looks ahead; and, if you name them, the paper's rivals: 'picture', our
    camera on a map that knows nothing of sound (after Cheng et al. 2018), and 'picture-autocam', AUTOCAM on the same
    map.

    Open FOLDER/study.html, vote, and save the votes. The INPUTs stay where they are and are played from there.

    \b
    pano-sound study make holiday.mp4 -o study
    pano-sound study make holiday.mp4 -o study --method ours --method picture-autocam
    """
    names = [source.stem for source in sources]
    if len(set(names)) < len(names):
        raise click.UsageError("films of a study must have different names")
    if len(set(methods)) == 1:
        raise click.UsageError("a study compares at least two methods")
    check_folder_of(output, [PAGE], overwrite)
    from ..options.steps import AnalyseOptions, RenderOptions
    from ..pipeline import analyse, pannable, render
    from ..pipeline.analyse import make_cues
    from ..research.evaluate.cube_saliency import PICTURE, picture_only, pretrained
    from ..research.study import AUTOCAM, FRONT, OURS, Studied, camera_paths, write_page

    # All that can be refused, before the first is analysed, which takes minutes.
    infos = [pannable(source, AnalyseOptions()) for source in sources]
    films = []
    for source, info in zip(sources, infos, strict=True):
        cues = [name for cue in make_cues(info, AnalyseOptions()).all for name in cue.names]
        for unknown in set(methods) - {OURS, FRONT, PICTURE, AUTOCAM, *cues}:
            known = ", ".join(sorted({OURS, FRONT, PICTURE, AUTOCAM, *cues}))
            raise click.UsageError(f"{source.name} has no method {unknown!r}; it has {known}")
        pans = {method: output / f"{source.stem}-{method}.mp4" for method in methods or (OURS, *cues, FRONT)}
        films.append(Studied(source.stem, source, pans))
    check_folder_of(output, [pan.name for film in films for pan in film.pans.values()], overwrite)
    saliency = pretrained() if {PICTURE, AUTOCAM} & set(methods) else None
    output.mkdir(parents=True, exist_ok=True)
    with ProgressBar(quiet) as progress:
        for film, info in zip(films, infos, strict=True):
            soundmap = analyse(film.film, AnalyseOptions(), progress=progress)
            pictures = None
            if saliency is not None:
                pictures = picture_only(info, soundmap, saliency, progress)
            paths = camera_paths(soundmap, pictures)
            for method, pan in film.pans.items():
                render(film.film, paths[method], pan, RenderOptions(), overwrite=overwrite, progress=progress)
    write_page(output / PAGE, films, overwrite)
    wrote(output / PAGE, quiet)


@command.command("tally", cls=Command)
@click.argument("votes", metavar="VOTES...", type=ReadFile(), nargs=-1, required=True)
@json_option
@verbosity
def tally(votes: tuple[Path, ...], as_json: bool, quiet: bool) -> None:
    """Count the votes of a study.

    VOTES are the files that people saved. For each question and pair of methods, this prints the share of votes for
    each method and for neither, with 95 % intervals.
    """
    from ..research.study import CRITERIA, SIMILAR, read_votes
    from ..research.study import tally as count

    rows = count(read_votes(votes))
    if as_json:
        plain = [{**row, "shares": [share.as_json() for share in row["shares"]]} for row in rows]
        click.echo(json.dumps(plain))
        return
    for criterion, words in enumerate(CRITERIA):
        click.echo(words)
        for row in rows:
            if row["criterion"] == criterion:
                answers = zip((*row["methods"], SIMILAR), row["shares"], strict=True)
                click.echo(printable("  " + "; ".join(f"{answer} {share}" for answer, share in answers)))
