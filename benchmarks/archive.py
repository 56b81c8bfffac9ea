"""How fast windows come out of a Zarr archive, in any order and in one that respects
chunks: `python benchmarks/archive.py`.

Takes some three minutes on two cores, on an otherwise idle machine. The archives are
made first, of one film in several layouts; they then
lie in the memory of the system, so what is measured is decoding and not the disk.
Windows are cut to pieces of 128x128, as one trains on."""
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
import numpy as np
import torch
from common import installed, keep
from fastcore.script import call_parse
from convlstm_nb.data.archive import ArchiveWindows, _chunk_edges, shuffle_by_chunk
from convlstm_nb.data.files import disk_bytes
from convlstm_nb.data.join import overlaps
from convlstm_nb.data.open import GridArray, open_records
from convlstm_nb.data.scaling import Scaling
from convlstm_nb.data.windows import Windows
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.losses import FrameMSE
from convlstm_nb.models.forecaster import EncoderForecaster
from convlstm_nb.presets import PRESETS

SIZE,FRAMES,CONTEXT,HORIZON,BS,CROP = 512,600,10,10,8,128
LAYOUTS = { # name: (frames, rows, columns) of a chunk, and of a shard
    'a frame':         ((1,512,512),  None),
    'an hour':         ((12,512,512), None),
    'four hours':      ((48,512,512), None),
    'an hour of 256²': ((12,256,256), None),
    'an hour, in a shard of a day': ((12,512,512), (288,512,512)),
}
LOG = Scaling('log', 0, float(np.log1p(100)))

def rain(frames=FRAMES, size=SIZE, seed=0):
    """Rain in tenths of mm/h, uint16: where two wide fields that drift apart are
    high together"""
    rng  = np.random.default_rng(seed)
    k    = np.hypot(*np.meshgrid(np.fft.fftfreq(2*size), np.fft.fftfreq(2*size)))
    soft = lambda: (
        np.fft.ifft2(
            np.fft.fft2(rng.standard_normal((2 * size, 2 * size))) / (k + 0.004) ** 2.2
            * (k > 0)).real)
    a,b  = (f/f.std() for f in (soft(), soft()))
    for t in range(frames):
        f = (
            np.roll(a, (t // 2, t), (0, 1))[:size, :size]
            + np.roll(b, (-t // 3, t // 2), (0, 1))[:size, :size])
        yield (
            np.maximum(0, 10 * (np.exp(1.5 * (f - 1.4)) - 1)) .clip(max=1500)
            .astype(np.uint16))

def make(folder):
    "Write the film in each layout, if it is not there"
    import zarr
    if folder.exists(): return
    film = np.stack(list(rain()))
    for name, (chunks, shards) in LAYOUTS.items():
        group = zarr.open_group(folder / f'{list(LAYOUTS).index(name)}.zarr', mode='w')
        array = group.create_array(
            'rain', shape=film.shape, dtype='u2', chunks=chunks, shards=shards,
            dimension_names=('time', 'y', 'x'))
        array.attrs.update(scale_factor=0.1, units='mm/h')
        array[:] = film

class Counted:
    "Count the frames that are decoded, whole chunks each time"
    def __enter__(self):
        self.pixels, self.read = (
            torch.zeros((), dtype=torch.int64).share_memory_(), GridArray.__getitem__)
        def read(array, key):
            held = [
                sum(int(e[i + 1] - e[i]) for i, *_ in overlaps(range(n)[k], e))
                for n, k, e in zip(
                    (FRAMES, SIZE, SIZE), (key[0], *key[2:]), _chunk_edges(array))]
            self.pixels.add_(int(np.prod(held)))
            return self.read(array, key)
        GridArray.__getitem__ = read
        return self
    def __exit__(self, *_): GridArray.__getitem__ = self.read
    @property
    def frames(self): return int(self.pixels)/SIZE**2

def rate(ds, order, workers, seconds):
    """Windows a second and what is decoded for each: of a whole epoch in an order
    that respects chunks, of some seconds of one in any order"""
    random.seed(0)
    how   = dict(shuffle_fn=shuffle_by_chunk) if order=='chunks' else {}
    valid = Windows(ds.records, CONTEXT, HORIZON, stride=len(ds), max_missing=None)
    with Counted() as count:
        dls   = sequence_dls(ds, valid, bs=BS, num_workers=workers, device='cpu', **how)
        begun = time.perf_counter()
        n,before = 0,count.frames
        for x,_ in dls.train:
            n += len(x)
            if order=='any' and time.perf_counter()-begun > seconds: break
        took = time.perf_counter()-begun
        return dict(
            windows_per_s=n / took, decoded_frames_per_s=(count.frames - before) / took,
            decoded_frames_per_window=(count.frames - before) / n, seconds=took)

def step_seconds(side, bs=BS, rounds=3):
    "Seconds of a training step of the preset `own` on pieces of `side`x`side`"
    torch.manual_seed(0)
    model,loss = EncoderForecaster(1, **PRESETS['own'].model['args']),FrameMSE()
    opt   = torch.optim.AdamW(model.parameters())
    x,y   = torch.rand(bs,CONTEXT,1,side,side),torch.rand(bs,HORIZON,1,side,side)
    times = []
    for _ in range(rounds+1):
        begun = time.perf_counter()
        loss(model(x, HORIZON), y).backward(); opt.step(); opt.zero_grad()
        times.append(time.perf_counter()-begun)
    return statistics.median(times[1:])

@call_parse
def main(
    # Where the archives lie, on the disk that you want to measure; made if absent, a
    # temporary folder if not given
    folder:str='',
    seconds:float=2., # To read in any order, in each case
    make_only:bool=False, # Make the archives, and measure nothing?
):
    "Measure how fast an archive is read"
    at = Path(folder or tempfile.mkdtemp())/'archives'
    make(at)
    if make_only: return
    rows,sizes = [],{}
    for i,(name,(chunks,shards)) in enumerate(LAYOUTS.items()):
        path   = at/f'{i}.zarr'
        record = open_records(path)[0]
        sizes[name] = dict(
            chunks=chunks, shards=shards,
            files=sum(p.is_file() for p in path.rglob('*')),
            mib=disk_bytes(path) / 2**20)
        how    = dict(crop=(CROP,CROP), scaling=LOG, max_missing=None)
        for order,cut in dict(any=Windows, chunks=ArchiveWindows).items():
            for workers in 0,1,2:
                # anew, so that nothing is in its cache
                ds = cut(record, CONTEXT, HORIZON, **how)
                rows.append(
                    dict(
                        layout=name, order=order, workers=workers,
                        **rate(ds, order, workers, seconds)))
                print(*rows[-1].values(), flush=True)
    step = step_seconds(CROP)
    print('a training step', step)
    keep(
        'archive', zarr=installed('zarr'), xarray=installed('xarray'), size=SIZE,
        frames=FRAMES, window=CONTEXT + HORIZON, bs=BS, crop=CROP, layouts=sizes,
        rates=rows, step_seconds=step)
    if not folder: shutil.rmtree(at.parent)
