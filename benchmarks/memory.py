"""How much memory `convlstm_train` takes for a file of 20 GB: `python
benchmarks/memory.py`. Linux alone.

The files are sparse: a few frames are written, and the rest takes no room on the
disk. Each is trained on for a minute, by the command, in
processes of its own, with none and with two that make batches beside. What a process
keeps for itself, and what several share, is counted once
(PSS). Pages of mapped files are counted apart, since the system drops them as it
likes."""
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
import numpy as np
from common import installed, keep
from fastcore.script import call_parse
from convlstm_nb.data.scaling import fit_scaling
from convlstm_nb.data.splits import split
from convlstm_nb.file_data import FileData

SHAPE = (70_000,270,270) # 20.4 GB of float32
HOW   = '--context 10 --horizon 10 --crop 64 --bs 8 --device cpu'

def blobs(t):
    "A frame that is written: something that drifts"
    r,c = np.mgrid[:270,:270]
    return (10*np.exp(-((r-135)**2 + ((c-3*t)%270-135)**2)/800)).astype(np.float32)

def places(): return [i+t for i in range(0, SHAPE[0], 7_000) for t in range(32)]

def make_npy(path):
    film = np.lib.format.open_memmap(path, 'w+', np.float32, SHAPE)
    for t in places(): film[t] = blobs(t)
    film.flush()

def make_nc(path):
    with import_module('h5py').File(path, 'w') as f:
        film = f.create_dataset(
            'film', SHAPE, np.float32, chunks=(32, 270, 270), fillvalue=0,
            compression='gzip', compression_opts=1)
        for axis,name,n in zip(film.dims, ('time','y','x'), SHAPE): # or none is known
            f[name] = np.arange(n)
            f[name].make_scale(name)
            axis.attach_scale(f[name])
        for a in places()[::32]:
            film[a // 32 * 32 : a // 32 * 32 + 32] = np.stack(
                [blobs(a + t) for t in range(32)])

def make_zarr(path):
    film = (
        import_module('zarr')
        .open_group(path, mode='w')
        .create_array(
            'film', shape=SHAPE, dtype='f4', chunks=(32, 270, 270), fill_value=0,
            dimension_names=('time', 'y', 'x')))
    for a in places()[::32]:
        film[a // 32 * 32 : a // 32 * 32 + 32] = np.stack(
            [blobs(a + t) for t in range(32)])

MAKE = {'.npy':make_npy, '.nc':make_nc, '.zarr':make_zarr}

def tree(pid):
    "A process and all that it started"
    try:
        return [pid] + [
            p for f in Path(f'/proc/{pid}/task').glob('*/children')
            for c in f.read_text().split() for p in tree(int(c))]
    except OSError:
        return []

def memory(pid):
    """What a process and those it started hold, in GiB: for themselves, and with the
    pages of files"""
    own = every = 0
    for p in tree(pid):
        try: text = Path(f'/proc/{p}/smaps_rollup').read_text()
        except OSError: continue # it has ended
        kib = {k:int(v) for k,v in re.findall(r'^(Pss\w*):\s+(\d+) kB', text, re.M)}
        own,every = own + kib['Pss_Anon'] + kib['Pss_Shmem'],every + kib['Pss']
    return own/2**20,every/2**20

def cpu(pid):
    "Seconds of one core that a process has used"
    return sum(
        map(int, Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[11:13])
    ) / os.sysconf('SC_CLK_TCK')

def train(path, runs, workers, seconds):
    "Peaks of a training, while it reads the file through and while it trains"
    command = [
        Path(sys.executable).parent / 'convlstm_train', '--data', path, *HOW.split(),
        '--num_workers', workers, '--runs', runs, '--name',
        f'{path.suffix[1:]}-{workers}']
    started, begun, peaks = (
        time.perf_counter(), None, {k: [0.0, 0.0] for k in ('before', 'training')})
    run = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b''
    while run.poll() is None and (begun is None or time.perf_counter()-begun < seconds):
        if select.select([run.stdout], [], [], .25)[0]: said += run.stdout.read1()
        # the head of the table of epochs
        if begun is None and b'train_loss' in said:
            begun, used = time.perf_counter(), cpu(run.pid)
        peak = peaks['before' if begun is None else 'training']
        peak[:] = map(max, peak, memory(run.pid))
    stopped = run.poll() is None
    if stopped: run.send_signal(signal.SIGTERM)
    said += run.communicate(timeout=120)[0]
    if begun is None or not stopped: raise RuntimeError(said.decode())
    return dict(
        file=path.suffix,
        workers=workers,
        before_s=begun - started,
        before_cpu_s=used,
        trained_s=seconds,
        **{
            f'{k}_{n}_gib': v for k, p in peaks.items()
            for n, v in zip(('own', 'all'), p)})

def fit(path):
    "Seconds of one core that fitting the scaling takes"
    parts = split(FileData(str(path)).records(), gap=20)
    start = time.process_time()
    fit_scaling('standard', parts[0])
    return dict(fit_cpu_s=time.process_time()-start, fit_frames=sum(map(len, parts[0])))

@call_parse
def main(
    formats:str='.npy,.zarr,.nc', # Which files, with commas between
    seconds:float=60, # How long to train on each
    # Where the files may lie for a while; the system's folder for such if None
    folder:str=None,
    only_fit:str=None, # A file: fit its scaling, and print what that took
):
    "Measure the memory of trainings on files of 20 GB"
    if only_fit: return print(json.dumps(fit(Path(only_fit))))
    found = dict(
        shape=SHAPE, bytes=int(np.prod(SHAPE)) * 4, how=HOW, zarr=installed('zarr'),
        h5netcdf=installed('h5netcdf'), fits=[], cases=[])
    for suffix in formats.split(','):
        with tempfile.TemporaryDirectory(dir=folder) as d:
            path = Path(d)/f'big{suffix}'
            MAKE[suffix](path)
            disk = sum(
                512 * f.stat().st_blocks
                for f in ([path] if path.is_file() else path.rglob('*')))
            said = subprocess.run(
                [sys.executable, __file__, '--only_fit', str(path)],
                capture_output=True, text=True, check=True).stdout
            found['fits'].append(
                dict(file=suffix, disk_mb=disk / 1e6, **json.loads(said)))
            print(found['fits'][-1], flush=True)
            for workers in (0,2):
                found['cases'].append(train(path, Path(d)/'runs', workers, seconds))
                print(found['cases'][-1], flush=True)
        keep('memory', **found)
