"""Pack the digits that ship with the package, from a folder with MNIST's four idx
files.

python tools/pack_mnist.py FOLDER [convlstm_nb/data/mnist_digits.npz]
"""
import os
import sys
from pathlib import Path
import numpy as np
from convlstm_nb.data.moving_mnist import _SPLITS, _find_idx, _read_idx, load_digits

SIZES = dict(train=2000, valid=500, test=500)

def pack(folder, path):
    rng,arrays,seen = np.random.default_rng(2015),{},set()
    for split, n in SIZES.items():
        images = load_digits(split, folder)
        stem, part = _SPLITS[split]
        labels = _read_idx(_find_idx(folder, f'{stem}-labels-idx1-ubyte'))[part]
        assert len(images) == len(labels), (
            f"{split}: {len(images)} images, but {len(labels)} labels")
        rows = np.sort(rng.choice(len(images), n, replace=False))
        arrays |= {f'{split}_images': images[rows], f'{split}_labels': labels[rows]}
        seen.update(im.tobytes() for im in images[rows])
    assert len(seen)==sum(SIZES.values()), 'an image occurs twice'
    part = path.with_name(path.name+'.tmp')
    with part.open('wb') as f: np.savez_compressed(f, **arrays)
    os.replace(part, path)
    print(
        f"{path}: {path.stat().st_size:,} bytes; "
        + ', '.join(f'{k} {v.shape}' for k, v in arrays.items()))

if __name__ == '__main__':
    if not 2 <= len(sys.argv) <= 3: sys.exit(__doc__)
    default = Path(__file__).resolve().parent.parent/'convlstm_nb/data/mnist_digits.npz'
    pack(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv)==3 else default)
