"""GPT-2 124M in plain PyTorch as a peer, `gpt2.py eager|compile`: a training step in f32 on one sequence of random tokens."""
import os, resource, sys, tempfile

caches = tempfile.TemporaryDirectory()
os.environ["TMPDIR"] = tempfile.tempdir = caches.name  # no kernels of other runs: the first step compiles

import torch
import torch.nn as nn
import torch.nn.functional as F

from serve import THREADS, median_time, serve

LAYERS, HEADS, EMBED, VOCAB = 12, 12, 768, 50257


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(EMBED), nn.LayerNorm(EMBED)
        self.qkv, self.project = nn.Linear(EMBED, 3 * EMBED), nn.Linear(EMBED, EMBED)
        self.up, self.down = nn.Linear(EMBED, 4 * EMBED), nn.Linear(4 * EMBED, EMBED)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        x = x + self.project(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT2(nn.Module):
    """The loss of tokens and targets."""

    def __init__(self, context):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCAB, EMBED), nn.Embedding(context, EMBED)
        self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(LAYERS))), nn.LayerNorm(EMBED)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        logits = self.norm(self.blocks(x)) @ self.tokens.weight.T
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Training:
    def __init__(self, context, compiled):
        self.model = GPT2(context)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
        self.loss = torch.compile(self.model) if compiled else self.model
        self.data = torch.randint(VOCAB, (1, context + 1))

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.data[:, :-1], self.data[:, 1:]).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


class Server:
    """Keeps the training of one context, after two steps, of which the first compiles."""
    context, training, first = 0, None, 0.0

    def __init__(self, compiled):
        self.compiled = compiled

    def seconds(self, r):
        if r["context"] != self.context:
            self.training = None
            torch._dynamo.reset()
            self.context, self.training = r["context"], Training(r["context"], self.compiled)
            self.first = median_time(self.training.step, 1)
            self.training.step()
        return self.first if r["work"].startswith("compile") else median_time(self.training.step, r["runs"])


# A step that does not fit into memory is an error here, and not the end of another process.
free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_DATA, (free, free))
torch.set_num_threads(THREADS)
torch.set_float32_matmul_precision("highest")
torch.manual_seed(0)
serve(Server(sys.argv[1] == "compile").seconds)
