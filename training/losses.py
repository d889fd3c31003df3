"""What the network is trained for: the teacher's direction, and telling identities apart."""

import torch
from torch import nn
from torch.nn import functional


def distillation_loss(embeddings, teacher):
    """Mean of 1 - cosine between the network's embeddings and the teacher's."""
    return 1 - functional.cosine_similarity(embeddings, teacher).mean()


def length_penalty(embeddings):
    """Mean square by which lengths differ from 1. Under encryption nobody can divide by the length,
    so embeddings should come out of the network with nearly the same one."""
    return (embeddings.norm(dim=1) - 1).square().mean()


class IdentityLoss(nn.Module):
    """ArcFace (Deng et al., CVPR 2019): softmax over cosines to one centre per identity, the true
    angle widened by a margin. Centres start at the mean of the teacher's embeddings, so that they
    say something from the first step on.
    """

    def __init__(self, centres, scale=32.0, margin=0.2):
        super().__init__()
        self.centres = nn.Parameter(functional.normalize(centres))
        self.scale = scale
        self.margin = margin

    def forward(self, embeddings, labels):
        cosines = functional.linear(
            functional.normalize(embeddings), functional.normalize(self.centres))
        true = cosines.gather(1, labels[:, None]).clamp(-0.999, 0.999)
        widened = torch.cos(torch.acos(true) + self.margin)
        logits = self.scale * cosines.scatter(1, labels[:, None], widened)
        return functional.cross_entropy(logits, labels, reduction="sum") / max(1, len(labels))


def identity_centres(teacher, labels, identities):
    """[identities, dimension]: the sum of the teacher's embeddings of each identity."""
    centres = torch.zeros(identities, teacher.shape[1])
    return centres.index_add_(0, labels, teacher)
