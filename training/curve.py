"""Accuracy against core-hours: what the runs have reached, and where it leads.

`python3 -m training.curve --packed DIR --lfw FILE.npz --runs DIR --before HOURS --out FILE.svg [RUN...]`
measures the averaged weights that each run kept at its reports, the runs in their order, prints a
JSON line for each and draws them. A law error = a * hours^-b is fitted to the ends of the
runs alone, since only there the learning rate has fallen; `--before` says what core-hours the first run's
starting weights had cost, and `--before-error` their error, which is one more point. What is measured
here decides nothing.
"""

import argparse
import json
import pathlib

import numpy as np
import torch

from . import export, lfw, models, train
from .data import Faces, shrink

SETTLED_ON = 2048
GOALS = (0.05, 0.04, 0.03)


def measure(path, faces, settled_on, pairs, crops):
    network = models.read_average(path)
    export.settle_norms(network, faces.crops[settled_on])
    return {name: round(float(value), 4) for name, value in pairs.report(train.embed(network, crops)).items()}


def fit(hours, errors):
    """(a, b) of error = a * hours^-b by least squares of logarithms."""
    slope, intercept = np.polyfit(np.log(hours), np.log(errors), 1)
    return float(np.exp(intercept)), float(-slope)


def hours_until(error, law):
    return (law[0] / error) ** (1 / law[1])


def to_svg(rows, law):
    """Error against core-hours, both logarithmic; ends of runs filled, the law dashed."""
    width, height, left, top, right, bottom = 640, 400, 64, 24, 616, 344
    first, last = min(row["hours"] for row in rows), max(max(row["hours"] for row in rows) * 4, 10)
    low, high = 0.025, max(row["error"] for row in rows) * 1.1

    def x(hours):
        return left + (right - left) * np.log(hours / first) / np.log(last / first)

    def y(error):
        return bottom - (bottom - top) * np.log(error / low) / np.log(high / low)

    def text(at_x, at_y, words, anchor="middle"):
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="#fff"/>']
    for percent in range(int(np.ceil(low * 100)), int(high * 100) + 1):
        parts.append(f'<path d="M{left} {y(percent / 100):.1f}H{right}" stroke="#ddd"/>')
        parts.append(text(left - 8, y(percent / 100) + 4, f"{100 - percent} %", "end"))
    for hours in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64):
        if first <= hours <= last:
            parts.append(text(x(hours), bottom + 18, f"{hours:g}"))
    parts.append(text((left + right) / 2, bottom + 42, "core-hours of training"))
    if law:
        ends = [(h, law[0] * h ** -law[1]) for h in np.geomspace(first, last, 40)]
        line = "L".join(f"{x(h):.1f} {y(e):.1f}" for h, e in ends if low <= e <= high)
        parts.append(f'<path d="M{line}" fill="none" stroke="#06c" stroke-dasharray="4 3"/>')
    for row in rows:
        fill = "#06c" if row["end"] else "none"
        parts.append(f'<circle cx="{x(row["hours"]):.1f}" cy="{y(row["error"]):.1f}" r="3.5" '
                     f'fill="{fill}" stroke="#06c"/>')
    return "\n".join(parts + ["</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description="Draw accuracy against core-hours.")
    parser.add_argument("--packed", required=True)
    parser.add_argument("--lfw", required=True, help="what training.lfw wrote")
    parser.add_argument("--runs", required=True, help="folder of the runs' folders")
    parser.add_argument("--out", required=True, help="the SVG")
    parser.add_argument("--before", type=float, default=0, help="core-hours before the first run")
    parser.add_argument("--before-error", type=float, help="error that they had led to")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("names", nargs="+", help="runs, in order")
    own = parser.parse_args()
    torch.set_num_threads(own.threads)
    faces = Faces(own.packed)
    trained = np.random.default_rng(1).permutation(train.split_of(own.packed, faces).train)
    settled_on = np.sort(trained[:SETTLED_ON])
    pairs = lfw.AlignedPairs(own.lfw)
    crops = np.stack([shrink(crop) for crop in pairs.crops])
    before, rows = own.before, []
    if own.before_error:
        rows.append({"run": "before", "hours": before, "error": own.before_error, "end": True})
    for name in own.names:
        kept = sorted((pathlib.Path(own.runs) / name / "averages").glob("*.pt"))
        for path in kept:
            hours = before + torch.load(path, map_location="cpu")["core_seconds"] / 3600
            report = measure(path, faces, settled_on, pairs, crops)
            rows.append({"run": name, "hours": round(hours, 3), "error": round(1 - report["accuracy"], 4),
                         "end": path == kept[-1], **report})
            print(json.dumps(rows[-1]), flush=True)
        before = hours
    ends = [row for row in rows if row["end"]]
    law = fit([row["hours"] for row in ends], [row["error"] for row in ends]) if len(ends) > 1 else None
    if law:
        print(json.dumps({"a": round(law[0], 4), "b": round(law[1], 3), "core_hours_until": {
            f"{1 - goal:.0%}": round(hours_until(goal, law), 1) for goal in GOALS}}))
    pathlib.Path(own.out).write_text(to_svg(rows, law))


if __name__ == "__main__":
    main()
