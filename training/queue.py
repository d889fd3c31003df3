"""The queue of training runs: one command goes on with the best recipe where the last call stopped.

`python3 -m training.queue --faces DIR --work DIR [--models DIR]` packs the crops when none are packed
yet, then runs the recipes below in their order, each from its checkpoint, each beginning with the
weights that the one before ended with, the first with models/patchnet.bnet. It prints a line an
epoch. Every few epochs, and at a recipe's end, the averaged weights are exported, and replace the
recipe's network file if they tell pairs of held-out people apart better. LFW is aligned only to leave out people who resemble somebody
there; it decides nothing. A file PAUSE in DIR/runs makes training sleep; SIGTERM saves and ends it.
"""

import argparse
import dataclasses
import os
import pathlib
import sys

import torch

from . import bnet, data, export, lfw, train
from .calibration import embed


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A run: so many passes along one cosine. The next one may have more convolutions, and then writes
    a network of another name, since it costs more under encryption."""

    name: str
    network: str
    epochs: float
    convolutions: int
    rate: float = 3e-3


# Cosines of growing length: each ends with weights worth exporting, and none waits for hours.
RECIPES = [
    Recipe("64x7-1", "patchnet", 6, 7),
    Recipe("64x7-2", "patchnet", 54, 7),
    Recipe("64x9-1", "patchnet-64x9", 60, 9),
    Recipe("64x11-1", "patchnet-64x11", 120, 11),
]
EXPORT_EVERY_EPOCHS = 6


def prepare(faces_directory, work):
    """Packs crops and writes down look-alikes unless that was done."""
    packed, pairs = work / "packed", work / "lfw.npz"
    if not (packed / "teacher.npy").exists():  # the last file that packing writes
        data.pack(faces_directory, packed, processes=1)
    if not (packed / "excluded.txt").exists():
        lfw.prepare(faces_directory, pairs, packed)


class BestNetwork:
    """The network file, and its equal error rate on pairs of held-out people."""

    def __init__(self, path, faces, split):
        self.path, self._faces, self._split = path, faces, split
        self.error = self._measure(path.read_bytes()) if path.exists() else 1.0

    def _measure(self, content):
        rows = self._split.held_out
        embeddings = embed(bnet.decode(content), self._faces.crops[rows])
        return float(train.pair_measures(embeddings, self._faces.labels[rows])["eer"])

    def offer(self, checkpoint):
        """Replaces the file if the checkpoint's weights are better; returns their error, as exported."""
        content = export.export(checkpoint, self._faces, self._split, self.path.stem)
        error = self._measure(content)
        if error < self.error:
            partial = self.path.with_suffix(".partial")
            partial.write_bytes(content)
            os.replace(partial, self.path)
            self.error = error
        return error


def run_recipe(recipe, start, work, best, own):
    """Goes on with a run; returns whether it reached its end."""
    arguments = train.parse_arguments(
        ["--packed", str(work / "packed"), "--run", str(work / "runs" / recipe.name),
         "--epochs", str(recipe.epochs), "--convolutions", str(recipe.convolutions),
         "--rate", str(recipe.rate), "--threads", str(own.threads)]
        + (["--start", str(start)] if start.exists() else []) + (["--bfloat16"] if own.bfloat16 else []))
    run = train.Run(arguments)
    # A short run's average must not reach back to its high rates.
    arguments.averaging = max(arguments.averaging, 5 / run.steps)
    exported_at = run.step

    def on_report(report):
        nonlocal exported_at
        held_out = report["held_out"]
        line = (f"{recipe.name} epoch {report['epoch']:g} of {recipe.epochs:g}, {report['core_seconds'] / 3600:.2f} "
                f"core-hours: held-out cosine {held_out['teacher_cosine']:.4f}, accuracy {held_out['accuracy']:.4f}, "
                f"EER {held_out['eer']:.4f}")
        if run.step - exported_at >= EXPORT_EVERY_EPOCHS * run.steps_an_epoch or run.step == run.steps:
            exported_at, before = run.step, best.error
            error = best.offer(run.checkpoint)
            line += f"; exported EER {error:.4f}, {'better' if error < before else 'no better'} than {before:.4f}"
        print(line, flush=True)

    return run.go(on_report)


def main():
    parser = argparse.ArgumentParser(description="Go on with the queue of training runs.")
    parser.add_argument("--faces", required=True)
    parser.add_argument("--work", required=True, help="folder of the packed crops and of the runs")
    parser.add_argument("--models", default="models", help="folder of the network files to improve")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float32", dest="bfloat16", action="store_false",
                        default="avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text())
    own = parser.parse_args()
    torch.set_num_threads(own.threads)
    work = pathlib.Path(own.work)
    prepare(own.faces, work)
    faces = data.Faces(work / "packed")
    split, models = train.split_of(work / "packed", faces), pathlib.Path(own.models)
    start = models / "patchnet.bnet"
    for recipe in RECIPES:
        best = BestNetwork(models / f"{recipe.network}.bnet", faces, split)
        print(f"{recipe.name}: {best.path} has a held-out EER of {best.error:.4f}", flush=True)
        if not run_recipe(recipe, start, work, best, own):
            sys.exit("ended before the queue did; the same command goes on")
        start = work / "runs" / recipe.name / "checkpoint.pt"


if __name__ == "__main__":
    main()
