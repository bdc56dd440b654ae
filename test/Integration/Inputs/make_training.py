#!/usr/bin/env python3
"""Writes the inputs and golden losses of training-equals-pytorch.test with PyTorch (torch, transformers, safetensors):
initial parameters of a small GPT-2, nine tokens (one window, so that the order of batches does not matter), and the loss and
norm of ten steps of AdamW in f64. Run in this folder; the results are in the repository.
"""
import json, math
import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

torch.manual_seed(5)
config = GPT2Config(n_layer=1, n_head=2, n_embd=8, n_inner=24, vocab_size=16, n_positions=8, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
model = GPT2LMHeadModel(config)
with torch.no_grad():
    for p in model.parameters():  # away from initial values: every path must carry signal
        p.add_(torch.randn(p.shape) * 0.1)
parameters = {n: p.detach().clone() for n, p in model.named_parameters()}
save_file(parameters | {"transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8)}, "training.safetensors")
tokens = torch.randint(0, 16, (9,))
open("training.u8", "wb").write(bytes(tokens.tolist()))

model = model.double()
decayed = [p for p in model.parameters() if p.ndim >= 2]
others = [p for p in model.parameters() if p.ndim < 2]
optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.2}, {"params": others, "weight_decay": 0}],
                              lr=1, betas=(0.85, 0.9), eps=1e-7)
rows = []
for step in range(1, 11):
    lr = 0.02 * step / 3 if step <= 3 else 0.004 + 0.016 / 2 * (1 + math.cos(math.pi * (step - 3) / 9))  # --steps=12
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(tokens[None, :-1]).logits[0], tokens[1:])
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    rows.append({"step": step, "loss": loss.item(), "grad_norm": norm.item(), "lr": lr})
json.dump(rows, open("training.json", "w"), indent=1)
