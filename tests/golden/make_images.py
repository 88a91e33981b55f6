#!/usr/bin/python3
"""Images of every kind in tests/golden/images, and what torchvision and Pillow
make of them.

Run it as `/usr/bin/python3 tests/golden/make_images.py` (Debian's
python3-torchvision, whose transforms stand on Pillow); it rewrites the images
and images.safetensors beside it. For each image NAME:
`NAME.rgb` [h, w, 3] is exif_transpose and convert("RGB"), `NAME.fit`
[28, 28, 3] Resize(32) and CenterCrop(28) of that, of colour.jpg `NAME.input`
[3, 28, 28], the same through ToTensor and Normalize.
"""
import io
import os
import struct
import zlib

import numpy as np
import PIL
import torchvision
from PIL import Image, ImageOps
from torchvision import transforms

from make_goldens import write

HERE = os.path.dirname(os.path.abspath(__file__))
SIDE, CROP = 32, 28
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture(width, height, seed=0):
    """Smooth colours with hard edges and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([128 + 127 * np.sin(x / 7 + seed), 255 * y / height,
                    255 * ((x // 9 + y // 6) % 2)], axis=-1)
    rgb += rng.normal(0, 12, rgb.shape)
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88, **options)
    return out.getvalue()


def png(image, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    return jpeg(picture(40, 23, orientation), exif=exif)


def chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data +
            struct.pack(">I", zlib.crc32(kind + data)))


def png_of(width, height, depth, colour, rows, interlace=0):
    """What Pillow doesn't write: 16 bits a sample, Adam7."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0,
                         interlace)
    data = b"".join(b"\0" + row for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
            chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def png16(image):
    wide = np.asarray(image).astype(">u2") * 257
    return png_of(*image.size, 16, 2, [row.tobytes() for row in wide])


def adam7(image):
    pixels, rows = np.asarray(image), []
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
                         (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = pixels[y::dy, x::dx]
        rows += [row.tobytes() for row in part if row.size]
    return png_of(*image.size, 8, 2, rows, 1)


def files():
    image = picture(61, 47)
    alpha = image.copy()
    alpha.putalpha(picture(61, 47, 5).convert("L"))
    palette = image.quantize(16)
    yield "colour.jpg", jpeg(image)
    yield "full.jpg", jpeg(image, subsampling=0)
    yield "progressive.jpg", jpeg(image, progressive=True)
    yield "grey.jpg", jpeg(image.convert("L"))
    yield "cmyk.jpg", jpeg(image.convert("CMYK"))
    yield "tall.jpg", jpeg(picture(30, 131, 3))
    for orientation in range(1, 9):
        yield f"turned{orientation}.jpg", turned(orientation)
    yield "colour.png", png(image)
    yield "adam7.png", adam7(image)
    yield "deep.png", png16(image)
    yield "grey.png", png(image.convert("L"))
    yield "bits.png", png(image.convert("1"))
    yield "palette.png", png(palette)
    yield "transparent.png", png(palette, transparency=3)
    yield "alpha.png", png(alpha)
    yield "greyalpha.png", png(alpha.convert("LA"))
    yield "small.png", png(picture(9, 11))
    yield "strip.png", png(picture(400, 2))
    yield "dot.png", png(picture(1, 1))


def main():
    fit = transforms.Compose([transforms.Resize(SIDE),
                              transforms.CenterCrop(CROP)])
    tensor = transforms.Compose([transforms.ToTensor(),
                                 transforms.Normalize(MEAN, STD)])
    tensors = {}
    os.makedirs(os.path.join(HERE, "images"), exist_ok=True)
    for name, data in files():
        with open(os.path.join(HERE, "images", name), "wb") as out:
            out.write(data)
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        image = image.convert("RGB")
        fitted = fit(image)
        tensors[f"{name}.rgb"] = np.array(image)
        tensors[f"{name}.fit"] = np.array(fitted)
        if name == "colour.jpg":
            tensors[f"{name}.input"] = tensor(fitted).numpy()
    write(os.path.join(HERE, "images.safetensors"), tensors,
          {"made_by": "make_images.py", "pillow": PIL.__version__,
           "torchvision": torchvision.__version__})


if __name__ == "__main__":
    main()
