"""`crackscan models`: list backbones and models, and show a model card.

`models_compare`, `models_quantise` and `models_calibrate` are its other subcommands.
"""

import os
from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import align_columns, echo
from pipeline.cli.models_calibrate import command as calibrate
from pipeline.cli.models_compare import command as compare
from pipeline.cli.models_quantise import command as quantise
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.models.card import Card


@click.group("models", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List backbones that work here and now, and models at hand; compare backbones; quantise or calibrate a model.

    \b
    Examples:
      crackscan models
      crackscan models list demo/model runs/
      crackscan models show demo/model
      crackscan models show shipped --json
      crackscan models compare metu/ uav/ deck/ --out runs/compare
      crackscan models calibrate shipped looked-at --out my-model
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models, folders=(".",))


@command.command("list")
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
def list_models(folders: tuple[str, ...]) -> None:
    """List backbones, the shipped model, and the models in each FOLDER (default: this one)."""
    echo("Backbones whose pre-trained weights are here:")
    echo(*align_columns([("name", "million parameters", "weights"), *_backbones()]))
    echo("Any other model name of timm works with --weights FILE, or where timm's hub can be reached.", "")
    echo("Models:")
    echo(*align_columns([("model", "id", "backbone", "validation AP", "trained on"), *_models(folders or (".",))]))
    echo("`crackscan models show MODEL` prints a card.")


@command.command("show")
@click.argument("model", metavar="MODEL")
@click.option("--json", "as_json", is_flag=True, help="Print card.json as it is.")
def show(model: str, *, as_json: bool) -> None:
    """Print the card of a MODEL folder or URL; `shipped` is the model of the package."""
    from pipeline.models.model import load_card

    card = load_card(model)
    if as_json:
        click.echo(card.to_json(), nl=False)
    else:
        _print_card(card)


command.add_command(compare)
command.add_command(quantise)
command.add_command(calibrate)


def _backbones() -> list[tuple[str, ...]]:
    from pipeline.models import backbones

    return [(each.name, f"{each.million_parameters:.1f}", each.weights_from) for each in backbones.available()]


def _models(folders: tuple[str, ...]) -> list[tuple[str, ...]]:
    from pipeline.models.model import SHIPPED, load_card

    rows: list[tuple[str, ...]] = []
    for place in (SHIPPED, *_model_folders(folders)):
        card = load_card(place)
        sources = ", ".join(source.name for source in card.data if source.role == "training")
        precision = _format_value(card.metrics.get("average_precision"))
        rows.append((place, card.model_id, card.architecture, precision, sources))
    return rows


def _model_folders(folders: tuple[str, ...]) -> list[str]:
    """Return the folders that are models, and the models one or two levels below the others."""
    from pipeline import storage
    from pipeline.models.model import CARD_FILE

    patterns = [storage.join(folder, *below, CARD_FILE) for folder in folders for below in ((), ("*",), ("*", "*"))]
    urls = [storage.parent(card) for pattern in patterns for card in storage.glob(pattern)]
    return [os.path.relpath(url.removeprefix(storage.LOCAL)) if url.startswith(storage.LOCAL) else url for url in urls]


def _print_card(card: "Card") -> None:
    """Print the most important facts first, then all settings."""
    from dataclasses import asdict

    from pipeline.models.threshold_words import describe_threshold

    lines = {
        "model": card.model_id,
        "note": card.note,
        "backbone": f"{card.architecture}, from {card.training.get('weights_from')}",
        "tile": f"{card.tile_px} px, overlap {card.overlap:.0%}",
        "threshold": card.threshold,
        "calibration": f"temperature {card.calibration.temperature}, bias {card.calibration.bias}",
        "int8": _describe_int8(card),
        "dense head": "none" if card.dense_stride is None else f"every {count_of(card.dense_stride, 'pixel')}",
    }
    for name, value in lines.items():
        if value is not None:
            echo(f"{name + ':':13s}{value}")
        if name == "threshold":
            echo(*(f"{'':13s}{sentence}" for sentence in describe_threshold(asdict(card))))
    sections = [("metrics", card.metrics), ("training", card.training), ("software", card.software)]
    sections += [("data", asdict(source)) for source in card.data]
    for title, section in sections:
        rows = align_columns([(name, _format_value(value)) for name, value in section.items()])
        echo("", title, *rows)


def _describe_int8(card: "Card") -> str:
    if card.int8 is None:
        return "none; `crackscan models quantise` makes one"
    return f"scores move by {card.int8.mean_shift:.4f} in the mean, AUC by {-(card.int8.auc_loss or 0):+.5f}"


def _format_value(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
