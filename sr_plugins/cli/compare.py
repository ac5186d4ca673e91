"""``srp compare``: pictures beside each other, on a page that opens from disk."""

from __future__ import annotations

from pathlib import Path

import click

from sr_plugins.cli.examples import examples
from sr_plugins.cli.files import is_film_name, obstacle, overwrite_option
from sr_plugins.errors import ImageError, printable


@click.command(
    "compare",
    epilog=examples(
        "srp compare photo.jpg photo-2x.jpg -o page.html",
        "srp compare fast.png quality.png original.png -o page.html",
        "srp compare a.png b.png --name before --name after -o page.html",
    ),
)
@click.argument("pictures", nargs=-1, required=True, metavar="A B [C ...]", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("compare.html"),
    show_default=True,
    help="The page to write.",
)
@click.option(
    "--name", "names", multiple=True, help="What to call a picture; once for each. [default: its file's name]"
)
@overwrite_option
def command(pictures: tuple[Path, ...], output: Path, names: tuple[str, ...], overwrite: bool) -> None:
    """Put pictures beside each other on one page, with a divider to drag, a lens and their names.

    The page is one file with everything in it: it opens from disk, without network, by mouse, keyboard and touch, and
    can be sent to somebody. Pictures of other sizes are shown at the size of the largest.
    """
    if len(pictures) < 2:
        raise click.UsageError(f"a comparison needs two pictures or more: srp compare {pictures[0]} OTHER")
    if names and len(names) != len(pictures):
        raise click.UsageError(f"{len(pictures)} pictures have {len(names)} names: give --name for each, or none")
    if output.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{output} is no page: its name ends in .html", param_hint="--output")
    for path in pictures:
        if is_film_name(path):
            raise click.UsageError(f"{path} is a film: give pictures, for example frames that ffmpeg saved")
        if told := obstacle(path, output, replace=overwrite):
            raise ImageError(told)
    from sr_plugins.comparison.page import Scene, write_comparison
    from sr_plugins.images.shown import shown_picture

    called = names or _names(pictures)
    shown = [shown_picture(path, name) for path, name in zip(pictures, called, strict=True)]
    write_comparison(output, [Scene("", shown)], " | ".join(called))
    size = output.stat().st_size / 1e6
    click.echo(printable(f"{output}: {len(shown)} pictures, {size:.1f} MB; open it in a browser"), err=True)


def _names(pictures: tuple[Path, ...]) -> tuple[str, ...]:
    """Stems, or names with endings, or whole paths: the shortest that differ."""
    for told in ([p.stem for p in pictures], [p.name for p in pictures], [str(p) for p in pictures]):
        if len(set(told)) == len(told):
            return tuple(told)
    return tuple(f"{i}: {path}" for i, path in enumerate(pictures, 1))
