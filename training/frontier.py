"""The frontier: accuracy of patch networks against what they cost under encryption.

`python3 -m training.frontier train --packed DIR --runs DIR [options of training.train]` trains every
shape by the same schedule and exports it to RUNS/NAME.bnet. A run that was interrupted goes on.

`python3 -m training.frontier measure --lfw FILE.npz --bauta PROGRAM --out FILE NETWORK.bnet...` evaluates
networks on LFW, runs each on encrypted faces (`bauta bench network`), prints a JSON line for each and
draws OUT.svg: accuracy against seconds. A network is on the frontier if none is both faster and
more accurate.
"""

import argparse
import json
import pathlib
import subprocess

import numpy as np
import torch

from . import bnet, export, lfw, models, train
from .calibration import embed
from .data import shrink

# One ciphertext holds 64 channels of four patches, and 11 convolutions have the depth of 23 that
# security allows at N = 32768. The first few span the range.
SHAPES = [models.Shape(channels, convolutions) for channels, convolutions in
          ((32, 5), (32, 3), (64, 5), (16, 3), (64, 7), (64, 3), (64, 9), (64, 11))]


def name_of(shape):
    return f"patch-{shape.channels}x{shape.convolutions}"


def train_all(own, words):
    runs = pathlib.Path(own.runs)
    for shape in SHAPES:
        torch.manual_seed(0)
        np.random.seed(0)
        arguments = train.parse_arguments(words + [
            "--run", str(runs / name_of(shape)), "--channels", str(shape.channels),
            "--convolutions", str(shape.convolutions)])
        torch.set_num_threads(arguments.threads)
        run = train.Run(arguments)
        run.go()
        content = export.export(runs / name_of(shape) / "checkpoint.pt", run.faces, run.split, name_of(shape))
        (runs / f"{name_of(shape)}.bnet").write_bytes(content)


def measure(bauta, path, pairs, crops):
    """What a network reaches on LFW and takes under encryption."""
    report = pairs.report(embed(bnet.decode(path.read_bytes()), crops))
    bench = subprocess.run([bauta, "bench", "network", "--model", path, "--json"],
                           check=True, stdout=subprocess.PIPE)
    cost = json.loads(bench.stdout)
    return {"name": path.stem,
            **{name: round(float(value), 4) for name, value in report.items()},
            **{name: cost[name] for name in ("depth", "seconds_warm", "seconds_predicted", "peak_rss_bytes",
                                             "key_bytes", "upload_bytes", "threads", "cosine_to_plain_min")}}


def on_frontier(rows):
    """The rows that no other beats in both seconds and accuracy, fastest first."""
    best, chosen = 0, []
    for row in sorted(rows, key=lambda row: (row["seconds_warm"], -row["accuracy"])):
        if row["accuracy"] > best:
            best = row["accuracy"]
            chosen.append(row)
    return chosen


def to_svg(rows):
    """Accuracy against seconds, the frontier joined by a line."""
    width, height, left, top, right, bottom = 640, 400, 64, 24, 616, 344
    seconds_end = max(row["seconds_warm"] for row in rows) * 1.2
    low = np.floor(min(row["accuracy"] for row in rows) * 50) / 50
    high = np.ceil(max(row["accuracy"] for row in rows) * 50) / 50

    def x(seconds):
        return left + (right - left) * seconds / seconds_end

    def y(accuracy):
        return bottom - (bottom - top) * (accuracy - low) / (high - low)

    def text(at_x, at_y, words, anchor="middle"):
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="#fff"/>']
    for accuracy in np.arange(low, high + 0.001, 0.02):
        parts.append(f'<path d="M{left} {y(accuracy):.1f}H{right}" stroke="#ddd"/>')
        parts.append(text(left - 8, y(accuracy) + 4, f"{100 * accuracy:.0f} %", "end"))
    step = 0.1 if seconds_end < 1 else 0.2 if seconds_end < 2.5 else 0.5
    for seconds in np.arange(0, seconds_end, step):
        parts.append(text(x(seconds), bottom + 18, f"{seconds:.1f}"))
    parts.append(text((left + right) / 2, bottom + 42, "seconds a face under encryption"))
    line = "L".join(f'{x(row["seconds_warm"]):.1f} {y(row["accuracy"]):.1f}' for row in on_frontier(rows))
    parts.append(f'<path d="M{line}" fill="none" stroke="#06c" stroke-width="1.5"/>')
    for row in rows:
        at = x(row["seconds_warm"]), y(row["accuracy"])
        parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4" fill="#06c"/>')
        parts.append(text(at[0] + 8, at[1] + 4, row["name"], "start"))
    return "\n".join(parts + ["</svg>"]) + "\n"


def measure_all(own):
    pairs = lfw.AlignedPairs(own.lfw)
    crops = np.stack([shrink(crop) for crop in pairs.crops])
    rows = []
    for path in map(pathlib.Path, own.networks):
        rows.append(measure(own.bauta, path, pairs, crops))
        print(json.dumps(rows[-1]), flush=True)
    pathlib.Path(own.out).write_text(to_svg(rows))


def main():
    parser = argparse.ArgumentParser(description="Accuracy of networks against their encrypted seconds.")
    steps = parser.add_subparsers(dest="step", required=True)
    training = steps.add_parser("train")
    training.add_argument("--runs", required=True, help="folder of the runs' folders and of the networks")
    measuring = steps.add_parser("measure")
    measuring.add_argument("--lfw", required=True, help="what training.lfw wrote")
    measuring.add_argument("--bauta", required=True, help="the program")
    measuring.add_argument("--out", required=True, help="the SVG")
    measuring.add_argument("networks", nargs="+")
    own, words = parser.parse_known_args()
    if own.step == "train":
        train_all(own, words)
    elif words:
        parser.error(f"not understood: {' '.join(words)}")
    else:
        measure_all(own)


if __name__ == "__main__":
    main()
