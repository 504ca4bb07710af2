"""Writes the figures and pictures of docs/model.md from docs/model.json."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from numpy.typing import NDArray

from model import plots
from model.dataset import Split
from model.labels import HIRAGANA, ROMAJI
from model.marked import with_part
from model.quality import COVERAGES
from model.tables import header, percent, row, spread
from model.targets import targets

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
PICTURES = "model"
"""Folder of the pictures, in the folder of the page."""

Models = dict[str, dict[str, Any]]


def write_page(folder: Path) -> Path:
    """Writes the part between the page's marks, and the page's pictures.

    Args:
        folder: folder with `model.json` and, optionally, `model-grid.json` and the benchmark's
            `benchmark.json`; `model.md` and the pictures in `model/` are written there.

    Returns:
        The path of the page.

    Raises:
        OSError: `model.json` cannot be read, or the page cannot be written.
    """
    models = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    grid_file = folder / "model-grid.json"
    grid = json.loads(grid_file.read_text(encoding="utf-8")) if grid_file.is_file() else {}
    bench = folder / "benchmark.json"
    stream = json.loads(bench.read_text(encoding="utf-8"))["figures"] if bench.is_file() else []
    plots.draw_all(models, folder / PICTURES)
    page = folder / "model.md"
    text = page.read_text(encoding="utf-8") if page.exists() else f"# The model\n\n{BEGIN}\n{END}\n"
    lines = "\n".join([*_sections(models), *_stream(stream), *_grid(grid)])
    page.write_text(with_part(text, BEGIN, END, lines), encoding="utf-8")
    return page


def write_mistakes(folder: Path, name: str, probabilities: NDArray[Any], split: Split) -> None:
    """Draws a model's most confident mistakes.

    Git ignores the picture, because the repository has no images of the data set.

    Args:
        folder: folder of the page.
        name: name of the model.
        probabilities: float (n, 10), the model's answers.
        split: the n images that the model answered.
    """
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    plots.draw_mistakes(probabilities, split, folder / PICTURES / f"mistakes_{name}.png")


def _sections(models: Models) -> Iterator[str]:
    measured: dict[tuple[str, ...], list[str]] = {}
    for name, found in models.items():
        measured.setdefault(tuple(found["measured"].values()), []).append(f"`{name}`")
    yield "Measured by `python -m model.evaluate`:\n"
    for (date, split, machine, python), names in measured.items():
        yield (
            f"- {', '.join(names)} on {date}, on the {split} split, with {machine}, Python {python}"
        )
    yield ""
    yield "## Targets\n"
    yield from targets(models)
    yield from _overview(models)
    yield from _classes(models)
    yield from _calibration(models)
    yield from _abstention(models)
    yield from _outliers(models)
    yield from _robustness(models)
    yield from _speed(models)


def _overview(models: Models) -> Iterator[str]:
    yield "## Side by side\n"
    yield from header("", *models)
    yield row("artefact", *(f"`{each['name']}`" for each in models.values()))
    yield row("right", *(f"{each['right']:,} of {each['images']:,}" for each in models.values()))
    yield row("accuracy", *(percent(each["accuracy"]) for each in models.values()))
    intervals = [each["accuracy_interval"] for each in models.values()]
    yield row("95 % interval", *(f"{percent(low)} to {percent(high)}" for low, high in intervals))
    yield row("the same in float32", *(_float(each) for each in models.values()))
    runs = [each["made_by"].get("run", each["made_by"]) for each in models.values()]
    yield row("run", *(f"`{run['run']}`" if "run" in run else "" for run in runs))
    yield row("validation accuracy", *(_known(run, "validation_accuracy", percent) for run in runs))
    made = [each["made_by"] for each in models.values()]
    yield row(
        "of images unlike the training images",
        *(_known(each, "unfamiliar_accuracy", percent) for each in made),
    )
    yield row("weights", *(_known(run, "parameters", "{:,}".format) for run in runs))
    yield row("multiply-adds", *(_known(run, "multiply_adds", "{:,}".format) for run in runs))
    yield row("training", *(_known(run, "seconds", _minutes) for run in runs))
    yield ""


def _float(found: dict[str, Any]) -> str:
    return percent(found["float"]["accuracy"]) if "float" in found else ""


def _known(run: dict[str, Any], name: str, show: Any) -> str:
    return show(run[name]) if name in run else ""


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min"


def _classes(models: Models) -> Iterator[str]:
    yield "## By class\n"
    yield from header("", *models)
    for sign, name in zip(HIRAGANA, ROMAJI, strict=True):
        shares = (percent(each["accuracy_by_class"][name]) for each in models.values())
        yield row(f"{sign} {name}", *shares)
    yield ""
    yield f"![Confusion matrix]({PICTURES}/confusion.svg)\n"
    yield (
        "The most confident mistakes are drawn as `docs/model/mistakes_MODEL.png`, which is not in "
        "the repository, as no image of the data set is.\n"
    )


def _calibration(models: Models) -> Iterator[str]:
    yield "## Calibration\n"
    yield f"![Reliability]({PICTURES}/reliability.svg)\n"
    yield from header("", *models)
    errors = (percent(each["calibration"]["error"]) for each in models.values())
    yield row("expected calibration error, 15 bins", *errors)
    temperatures = (each["made_by"].get("temperature", "") for each in models.values())
    yield row("temperature", *(str(each) for each in temperatures))
    yield ""


def _abstention(models: Models) -> Iterator[str]:
    yield "## Abstention\n"
    yield f"![Risk by coverage]({PICTURES}/risk_coverage.svg)\n"
    yield from header("share answered", *(f"{name}: wrong of these" for name in models))
    for share in COVERAGES:
        risks = (each["risk_coverage"]["at"][f"{share:g}"] for each in models.values())
        yield row(f"{share:.1%}", *(percent(risk) for risk in risks))
    abstentions = {name: each["abstention"] for name, each in models.items()}
    yield ""
    for name, figures in abstentions.items():
        if figures["accuracy"] is None:
            yield f"- `{name}` answers no image: no confidence reaches {percent(figures['below'])}."
            continue
        yield (
            f"- `{name}` abstains below a confidence of {percent(figures['below'])}: it answers "
            f"{percent(figures['answered'])} of the images, and {percent(figures['accuracy'])} of "
            f"these answers are right ({figures['wrong']} wrong)."
        )
    yield ""


def _outliers(models: Models) -> Iterator[str]:
    detecting = {name: each for name, each in models.items() if each["outliers"]}
    if not detecting:
        return
    yield "## Pictures that are not kuzushiji\n"
    heads = (f"{name}: {what}" for name in detecting for what in ("AUROC", "flagged"))
    yield from header("", *heads)
    for kind in next(iter(detecting.values()))["outliers"]:
        each = [found["outliers"][kind] for found in detecting.values()]
        cells = (cell for one in each for cell in (f"{one['auroc']:.4f}", percent(one["caught"])))
        yield row(kind, *cells)
    real = (cell for found in detecting.values() for cell in ("", percent(found["flagged"])))
    yield row("real images", *real)
    yield ""


def _robustness(models: Models) -> Iterator[str]:
    yield "## Robustness\n"
    yield f"![Accuracy by distortion]({PICTURES}/robustness.svg)\n"
    for distortion in next(iter(models.values()))["robustness"]:
        by_model = {name: each["robustness"][distortion] for name, each in models.items()}
        strengths = list(next(iter(by_model.values())))
        yield from header(distortion, *strengths)
        for name, accuracies in by_model.items():
            yield row(name, *(f"{accuracies[strength]:.1%}" for strength in strengths))
        yield ""


def _speed(models: Models) -> Iterator[str]:
    yield "## How fast\n"
    yield f"![Images a second by batch size]({PICTURES}/speed.svg)\n"
    some = [each for found in models.values() for each in found.get("speed", ())]
    days = " and ".join(sorted({each["date"] for each in some}))
    yield f"Images a second, minimum / **median** / maximum of five rounds, on {days}.\n"
    batches = sorted({rate["batch"] for each in some for rate in each["images_per_second"]})
    heads = ("model", "form", "runtime", "threads", *(f"batch {batch:,}" for batch in batches))
    yield from header(*heads, "peak memory", "first answer")
    for name, found in models.items():
        for each in found.get("speed", ()):
            rates = {rate["batch"]: rate for rate in each["images_per_second"]}
            runs = f"{each['runtime'].replace('_', '-')}, Python {each['python']}"
            yield row(
                *(name, each["form"], runs, str(each["threads"])),
                *(spread(rates[batch]) for batch in batches),
                "" if each["peak_memory_mb"] is None else f"{each['peak_memory_mb']:,} MB",
                f"{each['first_answer_s']:.2f} s",
            )
    yield ""


def _stream(figures: list[dict[str, Any]]) -> Iterator[str]:
    found = [figure for figure in figures if figure["what"] == "variant"]
    if not found:
        return
    yield "## In the stream\n"
    yield (
        "Messages a second from topic to topic, exactly once, one image a message, minimum / "
        "**median** / maximum, beside the broker on the same cores "
        "([benchmark.md](benchmark.md)).\n"
    )
    yield from header("format", "workers", "model", "messages a second")
    for figure in found:
        labels, values = figure["labels"], sorted(figure["values"])
        three = {"minimum": values[0], "median": median(values), "maximum": values[-1]}
        whole = {name: round(value) for name, value in three.items()}
        yield row(labels["format"], labels["workers"], labels["variant"], spread(whole))
    yield ""


def _grid(grid: dict[str, Any]) -> Iterator[str]:
    if not grid:
        return
    yield "## Ideas of the recipe\n"
    yield grid["said"] + "\n"
    yield from header("idea", "validation accuracy", "against the first row", "seconds")
    first = grid["rows"][0]["accuracy"]
    for each in grid["rows"]:
        gain = f"{(each['accuracy'] - first) * 100:+.2f} points"
        yield row(each["idea"], percent(each["accuracy"]), gain, f"{each['seconds']:,}")
    yield ""
