#!/usr/bin/python3
"""Small networks of torchvision's VGG class, and what they make of an image.

Run it as `/usr/bin/python3 tests/golden/make_cnn.py` (Debian's
python3-torchvision); it rewrites cnn.safetensors beside it. For `plain` and
`norm` (with batch norm): the state dict under its names, `image` [2, 3, 32, 32]
and the output of features.0, of the pooled and flattened features, and of
classifier.3 with its ReLU, in double from weights that are floats.
"""
import os

import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models.vgg import VGG, make_layers

from make_goldens import write

LAYERS = [8, "M", 12, 20, "M", 24, "M"]
SIDE, POOL, DENSE = 32, 3, (20, 10)


def network(norm):
    torch.manual_seed(5 + norm)
    net = VGG(make_layers(LAYERS, batch_norm=norm), init_weights=False)
    net.avgpool = nn.AdaptiveAvgPool2d((POOL, POOL))
    net.classifier = nn.Sequential(
        nn.Linear(24 * POOL * POOL, DENSE[0]), nn.ReLU(True), nn.Dropout(),
        nn.Linear(DENSE[0], DENSE[1]), nn.ReLU(True), nn.Dropout(),
        nn.Linear(DENSE[1], 7))
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.3)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return net.eval()


def main():
    out = {}
    for kind in ("plain", "norm"):
        net = network(kind == "norm")
        for name, value in net.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                out[f"{kind}.{name}"] = value.numpy().copy()
        net = net.double()
        image = torch.randn(2, 3, SIDE, SIDE).float()
        with torch.no_grad():
            x = image.double()
            first = net.features[:3 if kind == "norm" else 2](x)
            pooled = torch.flatten(net.avgpool(net.features(x)), 1)
            v = net.classifier[:5](pooled)
        out[f"{kind}.image"] = image.numpy()
        out[f"{kind}.out.features.0"] = torch.flatten(first, 1).numpy()
        out[f"{kind}.out.features"] = pooled.numpy()
        out[f"{kind}.out.classifier.3"] = v.numpy()
    write(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "cnn.safetensors"),
          {k: np.ascontiguousarray(v) for k, v in out.items()},
          {"made_by": "make_cnn.py", "torch": torch.__version__,
           "torchvision": torchvision.__version__})


if __name__ == "__main__":
    main()
