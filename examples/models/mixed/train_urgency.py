"""Make urgency.pt, a TorchScript model: from 0 for a question that can wait to 1 for one that cannot.

Run it in this directory: `python train_urgency.py`. It needs PyTorch, and embeds with the graph that the stack deploys.
"""

from __future__ import annotations

import os

import numpy as np
import torch

from tritonrepo import api

NOW = ["The server is down!", "All requests fail since this morning.", "Production crashes after the update. Help!"]
LATER = ["How does versioning work?", "Which options does the config have?", "What is planned for the next release?"]
SCALE = 12.0

# defined from a text, so that the file does not name a path of the machine that made it
FORWARD = """
def forward(self, vectors: Tensor) -> Tensor:
    return torch.sigmoid(torch.matmul(vectors, self.direction) + self.bias)
"""

encoder = api.load(["tritonrepo.yaml"], api.Workspace(os.environ)).gathering().embeds("embedder").load()
now, later = (np.asarray(encoder.embed(texts)).mean(axis=0) for texts in (NOW, LATER))
direction = (now - later) * SCALE

module = torch.nn.Module()
module.register_buffer("direction", torch.tensor(direction.tolist()).reshape(-1, 1))
module.register_buffer("bias", torch.tensor(float(-direction @ (now + later) / 2)))
scripted = torch.jit.script(module)
scripted.define(FORWARD)
scripted.save("urgency.pt")
