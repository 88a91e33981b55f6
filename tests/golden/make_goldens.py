#!/usr/bin/python3
"""Golden values for tests/golden: what PyTorch and the lecture's NumPy
algorithm compute, in double, from weights that are floats.

Run it as `/usr/bin/python3 tests/golden/make_goldens.py` (Debian's
python3-torch and python3-numpy); it rewrites goldens.safetensors beside it.

For each of rnn, lstm, gru and one-hot, embedding, tied input: the initial
weights under PyTorch's names, the logits of a forward, and 20 consecutive
training losses (batch 3, chunks of 5, the state carried and detached) for
every optimizer, kind of clip and scale of the loss. `lecture.*` is
min-char-rnn, Karpathy's gist of CS231n's lecture 10.
"""
import json
import os
import struct

import numpy as np
import torch
from torch import nn

VOCAB, HIDDEN, LAYERS, EMBEDDING = 7, 6, 2, 4
BATCH, SEQ, STEPS, STREAM = 3, 5, 20, 60
FORMS = ("onehot", "embedding", "tied")
CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CLIPS = ("value", "norm")
SCALES = ("sum", "mean")
THRESHOLDS = {("value", "sum"): 0.6, ("value", "mean"): 0.1,
              ("norm", "sum"): 2.0, ("norm", "mean"): 0.4}


class Adagrad:
    """The lecture's: epsilon under the root, where PyTorch has it outside."""

    def __init__(self, parameters, lr):
        self.parameters, self.lr = list(parameters), lr
        self.memory = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        with torch.no_grad():
            for p, m in zip(self.parameters, self.memory):
                m += p.grad * p.grad
                p -= self.lr * p.grad / torch.sqrt(m + 1e-8)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9,
                                     weight_decay=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=2e-3, alpha=0.95, eps=1e-8),
    "adam": lambda p: torch.optim.Adam(p, lr=2e-3, eps=1e-8,
                                       weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=2e-3, eps=1e-8,
                                         weight_decay=0.01),
    "adagrad": lambda p: Adagrad(p, lr=0.1),
}


class Model(nn.Module):
    def __init__(self, cell, form):
        super().__init__()
        size = {"onehot": VOCAB, "embedding": EMBEDDING, "tied": HIDDEN}[form]
        self.embedding = nn.Embedding(VOCAB, size) if form != "onehot" else None
        self.rnn = CELLS[cell](size, HIDDEN, LAYERS)
        self.output = nn.Linear(HIDDEN, VOCAB)
        if form == "tied":
            self.output.weight = self.embedding.weight

    def forward(self, tokens, state=None):
        x = (self.embedding(tokens) if self.embedding is not None else
             nn.functional.one_hot(tokens, VOCAB).double())
        y, state = self.rnn(x, state)
        return self.output(y), state


def make_model(cell, form):
    torch.manual_seed(sum(map(ord, cell + form)))
    model = Model(cell, form)
    for p in model.parameters():
        # Drawn in float, so that both builds begin from the same numbers.
        nn.init.uniform_(p, -0.5, 0.5)
    return model.double()


def detach(state):
    if isinstance(state, tuple):
        return tuple(s.detach() for s in state)
    return state.detach()


def losses(model, tokens, optimizer, clip, scale):
    """Losses in nats per token of STEPS chunks; the share of steps that the
    clip changed."""
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    threshold = THRESHOLDS[clip, scale]
    state, p, out, clipped = None, 0, [], 0
    for _ in range(STEPS):
        logits, state = model(tokens[p:p + SEQ], state)
        state = detach(state)
        targets = tokens[p + 1:p + SEQ + 1]
        total = nn.functional.cross_entropy(
            logits.reshape(-1, VOCAB), targets.reshape(-1), reduction="sum")
        optimizer.zero_grad()
        (total / (BATCH if scale == "sum" else BATCH * SEQ)).backward()
        grads = [q.grad for q in model.parameters()]
        if clip == "value":
            clipped += any(g.abs().max() > threshold for g in grads)
            nn.utils.clip_grad_value_(model.parameters(), threshold)
        else:
            norm = nn.utils.clip_grad_norm_(model.parameters(), threshold)
            clipped += bool(norm > threshold)
        optimizer.step()
        out.append(total.item() / (BATCH * SEQ))
        p += SEQ
        if p + SEQ + 1 >= STREAM:
            p = 0
    return out, clipped / STEPS


def unique_state(model, form):
    """The state dict; a tied output is the embedding."""
    return {k: v for k, v in model.state_dict().items()
            if not (form == "tied" and k == "output.weight")}


def torch_goldens(out):
    rng = np.random.RandomState(3)
    # A text with some order: each token mostly follows from the last.
    ids = np.zeros(BATCH * STREAM, dtype=np.int64)
    for i in range(1, len(ids)):
        ids[i] = (ids[i - 1] * 3 + 1) % VOCAB if rng.rand() < .7 else \
            rng.randint(VOCAB)
    out["tokens"] = ids.astype(np.uint32)
    tokens = torch.tensor(ids).view(BATCH, STREAM).t()
    shares = {}
    for cell in CELLS:
        for form in FORMS:
            name = f"{cell}.{form}"
            model = make_model(cell, form)
            initial = {k: v.clone() for k, v in model.state_dict().items()}
            for k, v in unique_state(model, form).items():
                out[f"{name}.{k}"] = v.float().numpy()
                assert torch.equal(v.float().double(), v)
            with torch.no_grad():
                out[f"{name}.logits"] = model(tokens[:SEQ])[0].numpy()
            curves = np.zeros((len(OPTIMIZERS), 2, 2, STEPS))
            for i, optimizer in enumerate(OPTIMIZERS):
                for j, clip in enumerate(CLIPS):
                    for k, scale in enumerate(SCALES):
                        model.load_state_dict(initial)
                        curves[i, j, k], share = losses(
                            model, tokens, optimizer, clip, scale)
                        shares.setdefault((clip, scale), []).append(share)
            out[f"{name}.losses"] = curves
    # A clip that never or always acts would test half of what it should.
    for (clip, scale), share in sorted(shares.items()):
        print(f"clip {clip}, loss {scale}: {np.mean(share):.2f} of all steps")
        assert 0.2 < np.mean(share) < 0.9


def lecture_goldens(out):
    """min-char-rnn for 20 iterations, over the end of its data once."""
    h_size, seq, n = 12, 5, 64
    rng = np.random.RandomState(5)
    ids = rng.randint(VOCAB, size=n) * (rng.rand(n) < .5)
    w = {k: (rng.randn(*shape) * 0.1).astype(np.float32) for k, shape in
         dict(xh=(h_size, VOCAB), hh=(h_size, h_size),
              hy=(VOCAB, h_size)).items()}
    for k, v in w.items():
        out[f"lecture.{k}"] = v
    out["lecture.tokens"] = ids.astype(np.uint32)
    w = {k: v.astype(np.float64) for k, v in w.items()}
    w["bh"], w["by"] = np.zeros((h_size, 1)), np.zeros((VOCAB, 1))
    memory = {k: np.zeros_like(v) for k, v in w.items()}
    h, p, curve = np.zeros((h_size, 1)), 0, []
    for _ in range(STEPS):
        if p + seq + 1 >= n:
            h, p = np.zeros((h_size, 1)), 0
        loss, grads, h = lecture_step(w, ids[p:p + seq],
                                      ids[p + 1:p + seq + 1], h)
        for k in w:
            memory[k] += grads[k] ** 2
            w[k] -= 0.1 * grads[k] / np.sqrt(memory[k] + 1e-8)
        curve.append(loss)
        p += seq
    out["lecture.losses"] = np.array(curve)


def lecture_step(w, inputs, targets, h0):
    hs, ps, loss = {-1: h0}, {}, 0.0
    for t, i in enumerate(inputs):
        x = np.zeros((VOCAB, 1))
        x[i] = 1
        hs[t] = np.tanh(w["xh"] @ x + w["hh"] @ hs[t - 1] + w["bh"])
        y = w["hy"] @ hs[t] + w["by"]
        ps[t] = np.exp(y) / np.sum(np.exp(y))
        loss -= np.log(ps[t][targets[t], 0])
    grads = {k: np.zeros_like(v) for k, v in w.items()}
    after = np.zeros_like(h0)
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        grads["hy"] += dy @ hs[t].T
        grads["by"] += dy
        raw = (1 - hs[t] ** 2) * (w["hy"].T @ dy + after)
        x = np.zeros((VOCAB, 1))
        x[inputs[t]] = 1
        grads["bh"] += raw
        grads["xh"] += raw @ x.T
        grads["hh"] += raw @ hs[t - 1].T
        after = w["hh"].T @ raw
    for g in grads.values():
        np.clip(g, -5, 5, out=g)
    return loss, grads, hs[len(inputs) - 1]


def write(path, tensors, metadata):
    names = {"float64": "F64", "float32": "F32", "uint32": "U32",
             "uint8": "U8"}
    # Wider types first, so that all are aligned.
    order = sorted(tensors, key=lambda k: -tensors[k].dtype.itemsize)
    header, offset = {"__metadata__": metadata}, 0
    for k in order:
        v = tensors[k]
        header[k] = {"dtype": names[str(v.dtype)], "shape": list(v.shape),
                     "data_offsets": [offset, offset + v.nbytes]}
        offset += v.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for k in order:
            f.write(np.ascontiguousarray(tensors[k]).tobytes())
    print(f"{path}: {os.path.getsize(path)} bytes")


def main():
    torch.set_num_threads(1)
    out = {}
    torch_goldens(out)
    lecture_goldens(out)
    write(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "goldens.safetensors"), out,
          {"made_by": "make_goldens.py", "torch": torch.__version__,
           "numpy": np.__version__})


if __name__ == "__main__":
    main()
