#!/usr/bin/env python3
"""State dicts of real PyTorch modules go through `unrolld import` and `export`
and come out equal; `unrolld eval` computes what PyTorch computes. Prints TAP.
Usage: import_pytorch.py UNROLLD DIRECTORY"""
import json
import os
import struct
import subprocess
import sys

import numpy as np
import torch
from torch import nn

EXE, DIR = sys.argv[1:]
VOCAB = list("\n abcdefghij\u00e4\u4e2d\U0001f600")
TEXT = "\nabcd \u4e2d\u00e4 efghij\U0001f600 jihgfedcba\n" * 12
DTYPES = {
    "F64": ("<f8", torch.float64), "F32": ("<f4", torch.float32),
    "F16": ("<f2", torch.float16), "BF16": ("<u2", torch.bfloat16),
}
cases = 0
torch.manual_seed(1)


def path(name):
    return os.path.join(DIR, name)


def raw(t):
    if t.dtype == torch.bfloat16:
        return t.view(torch.int16).numpy().tobytes()
    return t.numpy().tobytes()


def write(name, tensors, pad=True):
    """A safetensors file, written after the format's description."""
    header, data = {}, b""
    names = {torch_type: text for text, (_, torch_type) in DTYPES.items()}
    for key, t in tensors.items():
        t = t.detach().contiguous()
        bytes_ = raw(t)
        header[key] = {"dtype": names[t.dtype], "shape": list(t.shape),
                       "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    with open(path(name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def read(name):
    """As strict as the reference implementation, and more."""
    blob = open(path(name), "rb").read()
    (n,) = struct.unpack("<Q", blob[:8])
    assert n % 8 == 0, "the header is padded"
    header = json.loads(blob[8:8 + n])
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(v, str) for v in metadata.values())
    data, end, tensors = blob[8 + n:], 0, {}
    for key, e in sorted(header.items(), key=lambda x: x[1]["data_offsets"]):
        kind, torch_type = DTYPES[e["dtype"]]
        begin, stop = e["data_offsets"]
        assert begin == end and begin % np.dtype(kind).itemsize == 0
        array = np.frombuffer(data[begin:stop], kind).reshape(e["shape"])
        if e["dtype"] == "BF16":
            array = array.view("<i2")
        tensors[key] = torch.from_numpy(array.copy())
        if e["dtype"] == "BF16":
            tensors[key] = tensors[key].view(torch.bfloat16)
        end = stop
    assert end == len(data)
    return tensors, metadata


def run(*args, fails=False):
    done = subprocess.run([EXE, *args], capture_output=True, text=True)
    if (done.returncode != 0) != fails:
        raise AssertionError(f"{args}: {done.returncode} {done.stderr}")
    return done.stderr if fails else done.stdout


def write_vocabulary():
    with open(path("vocab.json"), "w") as f:
        json.dump(VOCAB, f)
    with open(path("text.txt"), "w") as f:
        f.write(TEXT)


class Model(nn.Module):
    """The names that `unrolld export` writes."""

    def __init__(self, cell, hidden, layers, embedding):
        super().__init__()
        size = len(VOCAB)
        if embedding:
            self.embedding = nn.Embedding(size, embedding)
        kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.rnn = kind(embedding or size, hidden, layers)
        self.output = nn.Linear(hidden, size)

    def forward(self, ids):
        if hasattr(self, "embedding"):
            x = self.embedding(ids)
        else:
            x = nn.functional.one_hot(ids, len(VOCAB)).float()
        return self.output(self.rnn(x)[0])


def nats(model):
    ids = torch.tensor([VOCAB.index(c) for c in TEXT])
    with torch.no_grad():
        logits = model(ids[:-1])
        return nn.functional.cross_entropy(logits, ids[1:]).item()


def check(name, body):
    global cases
    cases += 1
    try:
        body()
        print(f"ok {cases} - {name}")
    except Exception as e:  # any fault fails the case, with its reason
        print(f"not ok {cases} - {name}\n# {type(e).__name__}: {e}")


def round_trip(cell, hidden, layers, embedding, tied, rename):
    model = Model(cell, hidden, layers, embedding)
    # Far from initial values, so that every gate matters.
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.7)
        if tied:
            model.output.weight.copy_(model.embedding.weight)
    state = model.state_dict()
    write("in.safetensors", {rename(k): v for k, v in state.items()},
          pad=False)
    said = run("import", path("in.safetensors"), "-o", path("m"), "--vocab",
               path("vocab.json"))
    assert ("tied" in said) == tied, said
    shown = json.loads(run("inspect", path("m"), "--json", "--tensors"))
    arch = shown["architecture"]
    assert (arch["cell"], arch["hidden"], arch["layers"], arch["embedding"],
            arch["tied"]) == (cell, hidden, layers, embedding, tied), arch
    measured = json.loads(run("eval", path("m"), path("text.txt"), "--json",
                              "--threads", "1"))
    wanted = nats(model)
    assert abs(measured["nats_per_token"] - wanted) < 2e-5, (measured, wanted)
    run("export", path("m"), "-o", path("out.safetensors"))
    tensors, metadata = read("out.safetensors")
    assert metadata == {"format": "pt"}
    again = Model(cell, hidden, layers, embedding)
    again.load_state_dict(tensors, strict=True)
    for key, value in state.items():
        assert torch.equal(again.state_dict()[key], value), key
    assert nats(again) == wanted


def word_language_model(key):
    """The names of pytorch/examples."""
    return key.replace("embedding.", "encoder.").replace("output.", "decoder.")


def narrow(dtype, kind):
    model = Model("lstm", 8, 2, 8)
    state = model.state_dict()
    state["output.bias"][:4] = torch.tensor([1e-6, -3e-7, 0.0, 65503.0])
    write("in.safetensors", state)
    run("import", path("in.safetensors"), "-o", path("m"), "--vocab",
        path("vocab.json"), "--dtype", dtype)
    tensors, _ = read("m")
    for key, value in state.items():
        assert torch.equal(tensors[key], value.to(kind)), key
    run("export", path("m"), "-o", path("out.safetensors"))
    tensors, _ = read("out.safetensors")
    for key, value in state.items():
        assert torch.equal(tensors[key], value.to(kind).float()), key


def reads(kind):
    state = {k: v.to(kind) for k, v in Model("gru", 8, 1, 4).state_dict().items()}
    write("in.safetensors", state)
    run("import", path("in.safetensors"), "-o", path("m"), "--vocab",
        path("vocab.json"))
    run("export", path("m"), "-o", path("out.safetensors"))
    tensors, _ = read("out.safetensors")
    for key, value in state.items():
        assert torch.equal(tensors[key], value.float()), key


def char_rnn_nats(w, hidden, layers):
    """char-rnn's LSTM.lua: in, forget, out gate, then the transform."""
    h = [torch.zeros(hidden) for _ in range(layers)]
    c = [torch.zeros(hidden) for _ in range(layers)]
    ids, total = [VOCAB.index(x) for x in TEXT], 0.0
    for t in range(len(ids) - 1):
        x = nn.functional.one_hot(torch.tensor(ids[t]), len(VOCAB)).float()
        for k in range(layers):
            sums = (w[f"i2h_{k + 1}.weight"] @ x + w[f"i2h_{k + 1}.bias"] +
                    w[f"h2h_{k + 1}.weight"] @ h[k] + w[f"h2h_{k + 1}.bias"])
            i, f, o, g = sums.reshape(4, hidden)
            c[k] = torch.sigmoid(f) * c[k] + torch.sigmoid(i) * torch.tanh(g)
            x = h[k] = torch.sigmoid(o) * torch.tanh(c[k])
        logits = w["decoder.weight"] @ x + w["decoder.bias"]
        total -= torch.log_softmax(logits, 0)[ids[t + 1]].item()
    return total / (len(ids) - 1)


def char_rnn_lstm():
    hidden, layers, size, w = 7, 2, len(VOCAB), {}
    for k in range(1, layers + 1):
        w[f"i2h_{k}.weight"] = torch.randn(4 * hidden, size if k == 1 else hidden)
        w[f"i2h_{k}.bias"] = torch.randn(4 * hidden)
        w[f"h2h_{k}.weight"] = torch.randn(4 * hidden, hidden)
        w[f"h2h_{k}.bias"] = torch.randn(4 * hidden)
    w["decoder.weight"] = torch.randn(size, hidden)
    w["decoder.bias"] = torch.randn(size)
    write("in.safetensors", w)
    said = run("import", path("in.safetensors"), "-o", path("m"), "--vocab",
               path("vocab.json"), "--layout", "char-rnn", "--cell", "lstm")
    assert "gates reordered" in said
    measured = json.loads(run("eval", path("m"), path("text.txt"), "--json"))
    wanted = char_rnn_nats(w, hidden, layers)
    assert abs(measured["nats_per_token"] - wanted) < 2e-5, (measured, wanted)
    run("export", path("m"), "-o", path("out.safetensors"))
    model = Model("lstm", hidden, layers, 0)
    model.load_state_dict(read("out.safetensors")[0], strict=True)
    assert abs(nats(model) - wanted) < 2e-5


def char_rnn_gru():
    w = {"i2h_1.weight": torch.randn(21, 15), "i2h_1.bias": torch.randn(21),
         "h2h_1.weight": torch.randn(21, 7), "h2h_1.bias": torch.randn(21),
         "decoder.weight": torch.randn(15, 7), "decoder.bias": torch.randn(15)}
    write("in.safetensors", w)
    said = run("import", path("in.safetensors"), "-o", path("m"), "--vocab",
               path("vocab.json"), "--layout", "char-rnn", fails=True)
    assert "gru of char-rnn resets the state before" in said, said


def without(*ends):
    """Tensors that may be absent are zero, or tied."""
    tied = "weight" in ends[0]
    model = Model("gru", 6, 2, 6)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith(ends) and not tied:
                value.zero_()
        if tied:
            model.output.weight.copy_(model.embedding.weight)
    state = model.state_dict()
    write("in.safetensors",
          {k: v for k, v in state.items() if not k.endswith(ends)})
    run("import", path("in.safetensors"), "-o", path("m"), "--vocab",
        path("vocab.json"))
    run("export", path("m"), "-o", path("out.safetensors"))
    tensors, _ = read("out.safetensors")
    for key, value in state.items():
        assert torch.equal(tensors[key], value), key


def refused(change, *words):
    state = dict(Model("lstm", 8, 2, 8).state_dict())
    change(state)
    write("in.safetensors", state)
    said = run("import", path("in.safetensors"), "-o", path("none"), "--vocab",
               path("vocab.json"), fails=True)
    assert all(w in said for w in words), said
    assert not os.path.exists(path("none"))


def spoil(key, value):
    return lambda state: state.update({key: value})


write_vocabulary()
for cell_name in ("rnn", "lstm", "gru"):
    for size, n, e, is_tied in ((8, 2, 8, True), (12, 1, 5, False),
                                (9, 3, 0, False)):
        for label, name_of in (("our names", lambda k: k),
                               ("word_language_model", word_language_model)):
            check(f"{cell_name} {n}x{size} embedding {e} tied {is_tied}, {label}",
                  lambda: round_trip(cell_name, size, n, e, is_tied, name_of))
check("any name of the recurrent module",
      lambda: round_trip("lstm", 8, 2, 4, False,
                         lambda k: k.replace("rnn.", "net.lstm.")))
check("bf16 rounds as PyTorch does", lambda: narrow("bf16", torch.bfloat16))
check("f16 rounds as PyTorch does", lambda: narrow("f16", torch.float16))
for text_type, (_, torch_dtype) in DTYPES.items():
    check(f"reads {text_type}", lambda: reads(torch_dtype))
check("char-rnn lstm: i f o g becomes i f g o", char_rnn_lstm)
check("char-rnn gru is refused by name", char_rnn_gru)
check("no biases", lambda: without("bias_ih_l0", "bias_hh_l0", "bias_ih_l1",
                                   "bias_hh_l1", "output.bias"))
check("one bias a layer", lambda: without("bias_hh_l0", "bias_hh_l1"))
check("no output weight", lambda: without("output.weight"))
check("wrong shape", lambda: refused(
    spoil("rnn.weight_hh_l1", torch.zeros(32, 7)),
    "tensor rnn.weight_hh_l1: shape [32,7], expected [32,8]"))
check("NaN", lambda: refused(
    spoil("output.bias", torch.tensor([0.0] * 14 + [float("nan")])),
    "tensor output.bias: value 14 is NaN"))
check("bidirectional", lambda: refused(
    spoil("rnn.weight_hh_l0_reverse", torch.zeros(32, 8)),
    "tensor rnn.weight_hh_l0_reverse: has no place"))
check("half a bias", lambda: refused(
    lambda state: state.pop("rnn.bias_hh_l1"),
    "tensor rnn.weight_ih_l1: a bias of its layer is missing"))
check("both names of the output", lambda: refused(
    spoil("decoder.weight", torch.zeros(15, 8)),
    "tensor decoder.weight: beside output.weight"))
print(f"1..{cases}")
