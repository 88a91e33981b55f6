"""torchvision's VGG-16 with random weights, up to classifier.3 and its ReLU.

cnn_peer.py make WEIGHTS IMAGES N: writes its state dict, N random images and
what PyTorch makes of them, as safetensors.
cnn_peer.py run WEIGHTS IMAGES THREADS: images/s, as one JSON object; the best
of five runs.
"""
import json
import os
import struct
import sys
import time

import numpy as np
import torch
import torchvision

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "golden"))
from make_goldens import write

torch.manual_seed(7)
net = torchvision.models.vgg16(weights=None).eval()


def forward(x):
    with torch.no_grad():
        x = torch.flatten(net.avgpool(net.features(x)), 1)
        return net.classifier[:5](x)


def read(path, name):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        entry = json.loads(f.read(n))[name]
        begin, end = entry["data_offsets"]
        f.seek(8 + n + begin)
        return np.frombuffer(f.read(end - begin), "float32").reshape(
            entry["shape"]).copy()


if sys.argv[1] == "make":
    images = torch.randn(int(sys.argv[4]), 3, 224, 224)
    sys.stdout = sys.stderr
    write(sys.argv[2], {k: v.numpy() for k, v in net.state_dict().items()}, {})
    write(sys.argv[3], {
        "images": np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy()),
        "v": forward(images).numpy()}, {})
else:
    torch.set_num_threads(int(sys.argv[4]))
    images = torch.from_numpy(read(sys.argv[3], "images"))
    images = images.permute(0, 3, 1, 2).contiguous()
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        forward(images)
        best = min(best, time.perf_counter() - begun)
    print(json.dumps({"images_s": len(images) / best}))
