"""The training run: distillation and identities together, on a CPU.

`python3 -m training.train --packed DIR --run DIR [options]` goes on from DIR/checkpoint.pt where there
is one. While a file PAUSE stands beside DIR it sleeps. Progress goes to DIR/progress.jsonl, one object a line.
The learning rate rises over the first steps, stays, and falls linearly to zero over the last
`--decay` share; any checkpoint can be exported, since its averaged weights are good at all times.
"""

import argparse
import copy
import dataclasses
import json
import os
import pathlib
import time

import numpy as np
import torch
from torch.nn import functional

from . import augment, lfw, losses, models
from .data import Faces

HELD_OUT_EVERY = 16
WARM_UP_STEPS = 300
RANGE_WEIGHT = 0.05
LENGTH_WEIGHT = 0.5


@dataclasses.dataclass
class Split:
    """Row indices; the held-out identities are never trained on."""

    train: np.ndarray
    held_out: np.ndarray


def split_by_identity(faces, excluded):
    """Every sixteenth identity is held out; excluded identities are in neither part."""
    usable = ~np.isin(np.array(faces.identities), list(excluded))
    held_out = usable & (np.arange(len(usable)) % HELD_OUT_EVERY == HELD_OUT_EVERY // 2)
    return Split(np.flatnonzero((usable & ~held_out)[faces.labels]),
                 np.flatnonzero(held_out[faces.labels]))


def split_of(packed_directory, faces):
    """The split without the identities that `training.lfw` wrote down to be left out."""
    excluded = pathlib.Path(packed_directory) / "excluded.txt"
    return split_by_identity(faces, excluded.read_text().split() if excluded.exists() else ())


def draw_weights(labels):
    """Chance of each row, so that an identity with n crops comes up as if it had sqrt(n)."""
    weights = np.bincount(labels)[labels] ** -0.5
    return weights / weights.sum()


def learning_rate(step, steps, peak, decay):
    return peak * min(1, (step + 1) / WARM_UP_STEPS, (steps - step) / (decay * steps))


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


def held_out_report(network, faces, rows):
    """Agreement with the teacher, and verification over all pairs of held-out crops."""
    embeddings = embed(network, faces.crops[rows])
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / lengths
    teacher = faces.teacher[rows].astype(np.float32)
    first, second = np.triu_indices(len(rows), 1)
    scores = (unit @ unit.T)[first, second]
    same = faces.labels[rows][first] == faces.labels[rows][second]
    return {
        "teacher_cosine": float(np.mean(np.sum(unit * teacher, axis=1))),
        "length_mean": float(lengths.mean()),
        "length_deviation": float(lengths.std()),
        "eer": float(lfw.equal_error_rate(scores, same)),
        "tar_at_far_1e-3": float(lfw.true_accept_rate(scores, same, 1e-3)),
    }


class Run:
    """Everything that a checkpoint keeps."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.directory = pathlib.Path(arguments.run)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.faces = Faces(arguments.packed)
        self.split = split_of(arguments.packed, self.faces)
        self.teacher = torch.from_numpy(self.faces.teacher.astype(np.float32))
        self.labels = torch.from_numpy(self.faces.labels.astype(np.int64))
        self.weights = draw_weights(self.faces.labels[self.split.train])
        self.network = self.make_network()
        self.average = copy.deepcopy(self.network)
        self.identity_loss = losses.IdentityLoss(losses.identity_centres(
            self.teacher, self.labels, len(self.faces.identities)))
        self.optimizer = torch.optim.AdamW(self._parameter_groups())
        self.steps = int(arguments.epochs * len(self.split.train) / arguments.batch)
        self.step = 0
        if self._checkpoint.exists():
            self._load()

    def make_network(self):
        return models.PatchNetwork(models.Shape(self.arguments.channels, self.arguments.convolutions))

    @property
    def _checkpoint(self):
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
        state = torch.load(self._checkpoint)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.identity_loss.load_state_dict(state["identity_loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def save(self):
        partial = self._checkpoint.with_suffix(".partial")
        torch.save({
            "shape": dataclasses.asdict(self.network.shape),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "identity_loss": self.identity_loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }, partial)
        os.replace(partial, self._checkpoint)

    def take_step(self):
        """One batch; returns its losses."""
        arguments = self.arguments
        rate = learning_rate(self.step, self.steps, arguments.rate, arguments.decay)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        rows = np.random.choice(self.split.train, arguments.batch, p=self.weights)
        images = augment.vary(self.faces.crops[rows])
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            embeddings = self.network(images)
        distillation = losses.distillation_loss(embeddings, self.teacher[rows])
        identity = self.identity_loss(embeddings, self.labels[rows])
        excess = self.network.range_penalty()
        length = losses.length_penalty(embeddings)
        self.optimizer.zero_grad(set_to_none=True)
        (distillation + arguments.identity * identity
         + RANGE_WEIGHT * excess + LENGTH_WEIGHT * length).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        follow(self.average, self.network, max(arguments.averaging, 1 / (self.step + 1)))
        self.step += 1
        return torch.stack((distillation, identity, excess, length)).detach()

    def wait_while_paused(self):
        while (self.directory.parent / "PAUSE").exists():
            time.sleep(2)

    def note(self, **fields):
        with open(self.directory / "progress.jsonl", "a") as progress:
            progress.write(json.dumps({"step": self.step, **fields}) + "\n")

    def go(self):
        steps_an_epoch = len(self.split.train) // self.arguments.batch
        mean, saved, since = torch.zeros(4), time.time(), time.time()
        while self.step < self.steps:
            self.wait_while_paused()
            mean.lerp_(self.take_step(), 0.01 if mean.any() else 1.0)
            if self.step % 100 == 0:
                speed = 100 * self.arguments.batch / (time.time() - since)
                self.note(losses=[round(float(x), 4) for x in mean], images_a_second=round(speed))
                since = time.time()
            if time.time() - saved > 180:
                self.save()
                saved = time.time()
            if self.step % (self.arguments.report_every * steps_an_epoch) == 0:
                report = held_out_report(self.average, self.faces, self.split.held_out)
                self.note(epoch=round(self.step / steps_an_epoch, 1), held_out=report)
                since = time.time()
        self.save()
        self.note(held_out=held_out_report(self.average, self.faces, self.split.held_out))


def parse_arguments(words=None):
    parser = argparse.ArgumentParser(description="Train the patch network.")
    parser.add_argument("--packed", required=True, help="what training.data wrote")
    parser.add_argument("--run", required=True, help="folder of the checkpoint")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--convolutions", type=int, default=6)
    parser.add_argument("--epochs", type=float, default=60)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--decay", type=float, default=0.4, help="share of the steps it falls over")
    parser.add_argument("--linear-decay", type=float, default=0.05, help="of the last linear map")
    parser.add_argument("--averaging", type=float, default=1e-3, help="rate of the weight average")
    parser.add_argument("--identity", type=float, default=0.05, help="weight of the identity loss")
    parser.add_argument("--report-every", type=int, default=2, help="epochs between reports")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bfloat16", action="store_true")
    return parser.parse_args(words)


def main():
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    Run(arguments).go()


if __name__ == "__main__":
    main()
