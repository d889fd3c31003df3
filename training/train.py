"""The training run: distillation and identities together, on a CPU.

`python3 -m training.train --packed DIR --run DIR [options]` goes on from DIR/checkpoint.pt where there
is one. While a file PAUSE stands beside DIR it sleeps; told to end (SIGTERM), it saves first. Progress
goes to DIR/progress.jsonl, one object a line, and the averaged weights at each report to DIR/averages.
The learning rate rises over the first steps and falls to zero along a cosine; any checkpoint can be
exported, since its averaged weights are good at all times. A new run begins with random weights, or
with those of a .bnet file (`--start`). Crops of nobody known teach the teacher's direction only.
"""

import argparse
import copy
import dataclasses
import json
import math
import os
import pathlib
import signal
import time

import numpy as np
import torch
from torch.nn import functional

from . import augment, lfw, losses, models, people, unfold
from .data import NOBODY, Faces

WARM_UP_STEPS = 300
RANGE_WEIGHT = 0.05
LENGTH_WEIGHT = 0.5


@dataclasses.dataclass
class Split:
    """Row indices; the held-out identities are never trained on."""

    train: np.ndarray
    held_out: np.ndarray


def split_by_identity(faces, excluded, held_out=people.listed(people.HELD_OUT),
                      untouched=people.listed(people.BENCHMARK)):
    """Held-out identities are never trained on, excluded and untouched ones are in neither part."""
    people.refuse_test_sets(faces.identities)
    names = np.array(faces.identities)
    usable = ~np.isin(names, list(excluded) + list(untouched))
    kept_apart = np.isin(names, list(held_out))
    somebody = faces.labels != NOBODY
    return Split(np.flatnonzero(~somebody | (usable & ~kept_apart)[faces.labels]),
                 np.flatnonzero(somebody & (usable & kept_apart)[faces.labels]))


def split_of(packed_directory, faces):
    """The split without the identities that `training.lfw` wrote down to be left out."""
    excluded = pathlib.Path(packed_directory) / "excluded.txt"
    return split_by_identity(faces, excluded.read_text().split() if excluded.exists() else ())


def draw_weights(labels):
    """Chance of each row, so that an identity with n crops comes up as if it had sqrt(n); a crop of
    nobody known comes up as often as the others do on average."""
    somebody = labels != NOBODY
    weights = np.zeros(len(labels))
    weights[somebody] = np.bincount(labels[somebody])[labels[somebody]] ** -0.5
    weights[~somebody] = weights[somebody].mean()
    return weights / weights.sum()


def learning_rate(step, steps, peak):
    return peak * min(1, (step + 1) / WARM_UP_STEPS) * (1 + math.cos(math.pi * step / steps)) / 2


def classes_of(labels, rows):
    """[identities]: the number of each identity among those of rows, or NOBODY."""
    known = np.unique(labels[rows][labels[rows] != NOBODY])
    classes = np.full(labels.max() + 1, NOBODY)
    classes[known] = np.arange(len(known))
    return classes


@torch.no_grad()
def follow(average, network, rate):
    """Moves the averaged network, normalisation statistics included, towards the trained one."""
    for target, source in zip(average.state_dict().values(), network.state_dict().values()):
        if target.dtype.is_floating_point:
            target.lerp_(source, rate)


@torch.no_grad()
def embed(network, crops, batch=256):
    """Embeddings of packed crops, not varied."""
    network.eval()
    return torch.cat([network(augment.centre(crops[start:start + batch]))
                      for start in range(0, len(crops), batch)]).numpy()


def balanced_pairs(labels, genuine_each=10):
    """Rows of as many pairs of one person as of two: of each person at most so many, and the same
    ones at every call. Returns (first, second, same) in an order fit for folds."""
    generator = np.random.default_rng(1)
    genuine = []
    for label in np.unique(labels):
        first, second = np.triu_indices(np.sum(labels == label), 1)
        chosen = generator.permutation(len(first))[:genuine_each]
        rows = np.flatnonzero(labels == label)
        genuine += zip(rows[first[chosen]], rows[second[chosen]])
    impostors = []
    while len(impostors) < len(genuine):
        first, second = generator.integers(len(labels), size=2)
        if labels[first] != labels[second]:
            impostors.append((first, second))
    order = generator.permutation(2 * len(genuine))
    first, second = np.array(genuine + impostors, int).reshape(-1, 2)[order].T
    return first, second, order < len(genuine)


def pair_measures(embeddings, labels):
    """Verification of balanced pairs of people whom training never saw."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second, same = balanced_pairs(labels)
    scores = np.sum(unit[first] * unit[second], axis=1)
    return {
        "accuracy": np.mean((scores >= lfw.best_threshold(scores, same)) == same),
        "eer": lfw.equal_error_rate(scores, same),
        "tar_at_far_1e-2": lfw.true_accept_rate(scores, same, 1e-2),
    }


def held_out_report(network, faces, rows):
    """Agreement with the teacher, and verification of pairs of held-out crops."""
    embeddings = embed(network, faces.crops[rows])
    lengths = np.linalg.norm(embeddings, axis=1)
    agreement = np.sum(embeddings * faces.teacher[rows].astype(np.float32), axis=1) / lengths
    report = {"teacher_cosine": agreement.mean(), **pair_measures(embeddings, faces.labels[rows]),
              "length_deviation": lengths.std() / lengths.mean()}
    return {name: round(float(value), 4) for name, value in report.items()}


class Run:
    """Everything that a checkpoint keeps."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.directory = pathlib.Path(arguments.run)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.faces = Faces(arguments.packed)
        self.split = split_of(arguments.packed, self.faces)
        self.teacher = torch.from_numpy(self.faces.teacher.astype(np.float32))
        classes = classes_of(self.faces.labels, self.split.train)
        self.classes = torch.from_numpy(
            np.where(self.faces.labels == NOBODY, NOBODY, classes[self.faces.labels]).astype(np.int64))
        self.weights = draw_weights(self.faces.labels[self.split.train])
        self.network = self.make_network()
        self.average = copy.deepcopy(self.network)
        known = self.classes != NOBODY
        self.identity_loss = losses.IdentityLoss(losses.identity_centres(
            self.teacher[known], self.classes[known], int(self.classes.max()) + 1))
        self.optimizer = torch.optim.AdamW(self._parameter_groups())
        self.steps = int(arguments.epochs * self.steps_an_epoch)
        self.step = 0
        self.core_seconds = 0.0
        if self.checkpoint.exists():
            self._load()

    def make_network(self):
        shape = models.Shape(self.arguments.channels, self.arguments.convolutions)
        if self.arguments.start and not self.checkpoint.exists():
            return unfold.read_start(self.arguments.start, self.faces.crops, self.split.train, shape)
        return models.PatchNetwork(shape)

    @property
    def checkpoint(self):
        return self.directory / "checkpoint.pt"

    def _parameter_groups(self):
        convolutions = [p for p in self.network.parameters() if p.dim() == 4 and p.shape[0] > 1]
        linear = [self.network.linear.weight]
        kept = {id(p) for p in convolutions + linear}
        others = [p for p in self.network.parameters() if id(p) not in kept]
        return [
            {"params": convolutions, "weight_decay": 0.02, "rate": 1.0},
            {"params": linear, "weight_decay": self.arguments.linear_decay, "rate": 1.0},
            {"params": others, "weight_decay": 0.0, "rate": 2.0},
            {"params": list(self.identity_loss.parameters()), "weight_decay": 0.0, "rate": 1.0},
        ]

    def _load(self):
        state = torch.load(self.checkpoint)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.identity_loss.load_state_dict(state["identity_loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.core_seconds = state.get("core_seconds", 0.0)

    def save(self):
        partial = self.checkpoint.with_suffix(".partial")
        torch.save({
            "shape": dataclasses.asdict(self.network.shape),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "identity_loss": self.identity_loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "core_seconds": self.core_seconds,
        }, partial)
        os.replace(partial, self.checkpoint)

    def take_step(self):
        """One batch; returns its losses."""
        arguments = self.arguments
        started = time.process_time()
        rate = learning_rate(self.step, self.steps, arguments.rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        rows = np.random.choice(self.split.train, arguments.batch, p=self.weights)
        images = augment.vary(self.faces.crops[rows])
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            embeddings = self.network(images)
        distillation = losses.distillation_loss(embeddings, self.teacher[rows])
        classes = self.classes[rows]
        known = classes != NOBODY
        identity = self.identity_loss(embeddings[known], classes[known])
        excess = self.network.range_penalty()
        length = losses.length_penalty(embeddings)
        self.optimizer.zero_grad(set_to_none=True)
        (distillation + arguments.identity * identity
         + RANGE_WEIGHT * excess + LENGTH_WEIGHT * length).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        follow(self.average, self.network, max(arguments.averaging, 1 / (self.step + 1)))
        self.step += 1
        self.core_seconds += time.process_time() - started
        return torch.stack((distillation, identity, excess, length)).detach()

    def wait_while_paused(self):
        while (self.directory.parent / "PAUSE").exists():
            time.sleep(2)

    def note(self, **fields):
        with open(self.directory / "progress.jsonl", "a") as progress:
            progress.write(json.dumps({"step": self.step, **fields}) + "\n")

    @property
    def steps_an_epoch(self):
        return len(self.split.train) // self.arguments.batch

    def report(self):
        """Notes and returns how the averaged weights do on held-out people, and keeps these weights."""
        report = {"epoch": round(self.step / self.steps_an_epoch, 1), "core_seconds": round(self.core_seconds),
                  "held_out": held_out_report(self.average, self.faces, self.split.held_out)}
        self.note(**report)
        averages = self.directory / "averages"
        averages.mkdir(exist_ok=True)
        torch.save({"shape": dataclasses.asdict(self.average.shape), "average": self.average.state_dict(),
                    "step": self.step, "core_seconds": self.core_seconds}, averages / f"{self.step:07d}.pt")
        return report

    def go(self, on_report=lambda report: None):
        """Trains to the end, or until SIGTERM; returns whether the end was reached."""
        told_to_end = []
        signal.signal(signal.SIGTERM, lambda *_: told_to_end.append(True))
        mean, saved, since = torch.zeros(4), time.time(), time.time()
        while self.step < self.steps and not told_to_end:
            self.wait_while_paused()
            mean.lerp_(self.take_step(), 0.01 if mean.any() else 1.0)
            if self.step % 100 == 0:
                speed = 100 * self.arguments.batch / (time.time() - since)
                self.note(losses=[round(float(x), 4) for x in mean], images_a_second=round(speed))
                since = time.time()
            if time.time() - saved > 180:
                self.save()
                saved = time.time()
            if self.step % (self.arguments.report_every * self.steps_an_epoch) == 0 or self.step == self.steps:
                self.save()
                on_report(self.report())
                since = time.time()
        self.save()
        return self.step == self.steps


def parse_arguments(words=None):
    parser = argparse.ArgumentParser(description="Train the patch network.")
    parser.add_argument("--packed", required=True, help="what training.data wrote")
    parser.add_argument("--run", required=True, help="folder of the checkpoint")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--convolutions", type=int, default=7)
    parser.add_argument("--epochs", type=float, default=60)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--start", help="a .bnet file or a checkpoint to begin with")
    parser.add_argument("--linear-decay", type=float, default=0.05, help="of the last linear map")
    parser.add_argument("--averaging", type=float, default=5e-4, help="rate of the weight average")
    parser.add_argument("--identity", type=float, default=0.05, help="weight of the identity loss")
    parser.add_argument("--report-every", type=int, default=1, help="epochs between reports")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bfloat16", action="store_true")
    return parser.parse_args(words)


def main():
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    Run(arguments).go()


if __name__ == "__main__":
    main()
