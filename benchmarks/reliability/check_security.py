"""Files from elsewhere: nothing in them runs, nothing is written outside, nothing is
allocated for what they only claim."""
import contextlib
import gzip
import io
import json
import lzma
import os
import pickle
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
import zlib
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.learner import load_learner
from convlstm_nb import cli, runs
from convlstm_nb.checkpoint import (
    _checksum,
    build_model,
    load_model,
    load_tensors,
    pack,
    read_json,
    save_model,
    save_tensors,
)
from convlstm_nb.data.archive import ArchiveWindows
from convlstm_nb.data.files import open_npy, open_npz
from convlstm_nb.data.formats import image_dataset, numpy_dataset, read_frames
from convlstm_nb.data.moving_mnist import _read_idx, load_digits
from convlstm_nb.data.netcdf import open_dataset
from convlstm_nb.data.open import open_records
from convlstm_nb.data.scaling import Scaling, fit_scaling
from convlstm_nb.data.windows import Windows
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.export import export_model
from convlstm_nb.file_data import FileData
from convlstm_nb.learner import convlstm_learner
from convlstm_nb.monitoring import KeepBest
from convlstm_nb.presets import PRESETS
from convlstm_nb.resume import read_training

root = Path(__file__).parent.parent.parent
SPEC = {
    'class': 'EncoderForecaster',
    'args': dict(in_channels=1, hidden_channels=[4], kernel_size=3)}
DATA = dict(
    motion=dict(size=16, digit_size=8, n_digits=1, context=2, horizon=2, speed=[1, 2]),
    train=4, valid=4, test=4, fresh=True)
GB   = 2**30

ZARR = find_spec('zarr') is not None

class Evil:
    "An object that makes a folder when it is unpickled"
    def __init__(self, canary): self.canary = str(canary)
    def __reduce__(self): return (os.mkdir, (self.canary,))

class Place:
    "A folder with a good run and good data, and one beside it that nothing may touch"
    def __init__(self, top):
        self.top, self.canary, self.outside = (
            Path(top), Path(top) / 'canary', Path(top) / 'outside')
        self.run,self.film = self.top/'good'/'run',self.top/'good'/'film.npy'
        torch.manual_seed(0)
        self.model = build_model(SPEC)
        save_model(self.run, self.model, SPEC, data=DATA, seed=0)
        np.save(self.film, np.random.default_rng(0).random((8,16,16), np.float32))
        self.outside.mkdir()
        (self.outside/'victim').write_text('as it was')
        self.boxes = 0

    def box(self, name, data):
        "A new copy of the run in which the file `name` holds `data`"
        self.boxes += 1
        folder = self.top/'boxes'/str(self.boxes)
        folder.mkdir(parents=True)
        # and not what a command has put beside them
        for n in ('config.json','model.safetensors'): shutil.copy(self.run/n, folder)
        (folder/name).write_bytes(data)
        return folder/name

    def touched(self):
        "What was made or changed outside of the boxes"
        good = {
            self.top, self.top / 'good', self.top / 'boxes', self.run, self.film,
            self.outside, self.outside / 'victim',
            *(self.run / n for n in ('config.json', 'model.safetensors'))}
        new = [
            p for p in self.top.rglob('*')
            if p not in good and self.top / 'boxes' not in p.parents]
        return [str(p.relative_to(self.top)) for p in new] + ['outside/victim'] * (
            (self.outside / 'victim').read_text() != 'as it was')

def silently(fn, *args, lines=1, **kw):
    "Call a command in this process; its last line of error as an exception"
    out,err = io.StringIO(),io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try: return fn(*args, **kw)
        except SystemExit as e: code = e.code
    said = err.getvalue().splitlines()
    if code != 2 or not 1 <= len(said) <= lines:
        raise RuntimeError(f'exit code {code}, {said}')
    raise ValueError(said[-1])

def of_file(place):
    "Every reader and command that takes a file"
    out = lambda p: p.parent/'out.npy'
    found = dict(
        read_json=read_json,
        load_tensors=load_tensors,
        load_tensors_or_previous=lambda p: load_tensors(p, or_previous=True),
        read_training=read_training,
        open_npy=open_npy,
        open_npz=open_npz,
        open_dataset=open_dataset,
        numpy_dataset=numpy_dataset,
        image_dataset=image_dataset,
        read_frames=read_frames,
        open_records=open_records,
        file_records=lambda p: FileData(str(p)).records(),
        read_idx=_read_idx,
        convlstm_predict=lambda p: silently(
            cli.convlstm_predict, str(place.run), data=str(p), out=str(out(p)),
            force=True),
        convlstm_evaluate=lambda p: silently(
            cli.convlstm_evaluate, str(place.run), data=str(p)),
        convlstm_train=lambda p: silently(
            cli.convlstm_train, data=str(p), runs=str(p.parent / 'runs'), device='cpu'))
    return found | dict(scaling=lambda p: Scaling.from_dict(read_json(p)))

# the first says that the training is kept
def resume(folder):
    return silently(
        cli.convlstm_train, resume=folder.name, runs=str(folder.parent), device='cpu',
        lines=2)

def of_run(place):
    "Every reader and command that takes the folder of a run"
    return dict(
        load_model=load_model,
        predict_run=lambda d: runs.predict_run(
            d, place.film, d / 'out.npy', force=True),
        evaluate_run=runs.evaluate_run,
        convlstm_predict=lambda d: silently(
            cli.convlstm_predict, str(d), data=str(place.film), out=str(d / 'out.npy'),
            force=True),
        convlstm_evaluate=lambda d: silently(cli.convlstm_evaluate, str(d)),
        convlstm_evaluate_data=lambda d: silently(
            cli.convlstm_evaluate, str(d), data=str(place.film)))

# what an error says that came too late: after the memory was asked for
GREEDY = re.compile('MemoryError|allocate')

class Tally:
    "What became of files that should be refused"
    def __init__(self, place): self.place,self.calls,self.bad = place,0,[]
    def refuse(self, what, fn, path, named=None):
        """`fn(path)` must end in an ordinary error that names the file, and do
        nothing else"""
        self.calls += 1
        named = str(named or path)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            try:
                fn(path)
                verdict = 'accepted'
            except (ValueError, TypeError, OSError) as e:
                verdict = (
                    f'tried to allocate: {e}' if GREEDY.search(str(e)) else ''
                    if named in str(e) else f'not named: {e}')
            except Exception as e:
                verdict = f'{type(e).__name__}: {e}'
        if self.place.canary.exists(): self.place.canary.rmdir(); verdict = 'RAN'
        if verdict: self.bad.append(f'{what}: {verdict}'[:150])
    def row(self, what, wanted='each refused with the file named, none runs'):
        got = f'{self.calls - len(self.bad)} of {self.calls} refused' + (
            f'; {len(self.bad)} not, {self.bad[:4]}' if self.bad else '')
        return dict(
            what=what, wanted=wanted, got=got.replace(str(self.place.top), '…'),
            passed=not self.bad and self.calls > 0)

def saved(fn, *args, **kw):
    "What `fn` writes, as bytes"
    f = io.BytesIO()
    fn(f, *args, **kw)
    return f.getvalue()

class Pairs(list):
    "A dataset that fastai can export"
    def new_empty(self): return Pairs()

def tiny_learner(x=None):
    "A learner of 8 sequences"
    x  = torch.rand(8,2,1,8,8) if x is None else x
    ds = Pairs(zip(x,x))
    return convlstm_learner(sequence_dls(ds, ds, bs=4, device='cpu'), build_model(SPEC))

def payloads(place):
    "Files that run something when they are unpickled, and the unsafe way to read each"
    evil,objects = Evil(place.canary),np.empty(1, object)
    objects[0] = evil
    learn = tiny_learner()
    learn.evil = evil
    with contextlib.redirect_stdout(io.StringIO()):
        learn.export(place.top / 'boxes' / 'learner.pkl')
    unpickle  = pickle.loads
    unsafe    = lambda b: torch.load(io.BytesIO(b), weights_only=False)
    from_disk = lambda b: load_learner(place.top/'boxes'/'learner.pkl')
    arrays    = lambda b: np.load(io.BytesIO(b), allow_pickle=True)
    member    = lambda b: arrays(b)['a']
    return {
        'pickle': (pickle.dumps(evil), unpickle),
        'pickle, protocol 0': (pickle.dumps(evil, 0), unpickle),
        'torch.save': (saved(lambda f: torch.save(evil, f)), unsafe),
        'torch.save, legacy': (
            saved(
                lambda f: torch.save(
                    {'w': evil}, f, _use_new_zipfile_serialization=False)),
            unsafe),
        'exported learner': (
            (place.top / 'boxes' / 'learner.pkl').read_bytes(), from_disk),
        'object array, npy': (
            saved(lambda f: np.save(f, objects, allow_pickle=True)), arrays),
        'object array, npz': (saved(lambda f: np.savez(f, a=objects)), member),
        'gzipped pickle': (
            gzip.compress(pickle.dumps(evil)), lambda b: unpickle(gzip.decompress(b)))}

STORES = 'v2', 'v2, object', 'v2, compressor', 'v3'

def zarr_store(place, kind):
    "A Zarr store whose chunks are to be unpickled"
    folder = place.box('x', b'').parent/'x.zarr'
    (folder/'film'/'c').mkdir(parents=True)
    write = lambda name, o: (folder/name).write_text(json.dumps(o))
    shape,pickle_codec = [8,4,4],dict(id='pickle', protocol=5)
    if kind == 'v3':
        write('zarr.json', dict(zarr_format=3, node_type='group', attributes={}))
        write(
            'film/zarr.json',
            dict(
                zarr_format=3,
                node_type='array',
                shape=shape,
                data_type='float32',
                chunk_grid=dict(name='regular', configuration=dict(chunk_shape=shape)),
                fill_value=0,
                attributes={},
                dimension_names=['time', 'y', 'x'],
                chunk_key_encoding=dict(
                    name='default', configuration=dict(separator='.')),
                codecs=[
                    dict(name='numcodecs.pickle', configuration={}),
                    dict(name='bytes', configuration=dict(endian='little'))]))
    else:
        write('.zgroup', dict(zarr_format=2))
        write('film/.zattrs', dict(_ARRAY_DIMENSIONS=['time', 'y', 'x']))
        write(
            'film/.zarray',
            dict(
                zarr_format=2,
                shape=shape,
                chunks=shape,
                dtype='|O' if 'object' in kind else '<f4',
                fill_value=0,
                order='C',
                **(
                    dict(compressor=pickle_codec, filters=None) if 'compressor' in kind
                    else dict(compressor=None, filters=[pickle_codec]))))
    for chunk in ('0.0.0', 'c/0.0.0', 'c.0.0.0'):
        (folder / 'film' / chunk).write_bytes(pickle.dumps(Evil(place.canary)))
    return folder

NAMES = [
    'config.json', 'model.safetensors', 'training.safetensors', 'x.npy', 'x.npz',
    'train-images-idx3-ubyte', 'train-images-idx3-ubyte.gz', 'x.pt', 'x.pth', 'x.pkl',
    'x.png', 'x.gif', 'x.nc', 'x.zarr', 'x.yaml']

def pickles(place):
    "Every payload under every name through every reader"
    (place.top/'boxes').mkdir()
    corpus = payloads(place)
    alive = 0
    for name,(data,unsafe) in corpus.items():
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter('ignore')
            unsafe(data)
        if place.canary.exists(): alive += 1; place.canary.rmdir()
    yield dict(
        what='the malicious files, read the unsafe way',
        wanted=f'{len(corpus)} of {len(corpus)} run, or this corpus shows nothing',
        got=f'{alive} run', passed=alive == len(corpus))
    t = Tally(place)
    for kind,(data,_) in corpus.items():
        for name in NAMES:
            for reader,fn in of_file(place).items():
                path = place.box(name, data)
                shutil.copy(path, path.with_stem(path.stem+'.previous'))
                t.refuse(f'{kind} as {name}, {reader}', fn, path)
            if name == 'training.safetensors':
                t.refuse(
                    f'{kind} as {name}, convlstm_train --resume',
                    lambda p: resume(p.parent), place.box(name, data))
            if name in ('config.json','model.safetensors'):
                for reader, fn in of_run(place).items():
                    t.refuse(
                        f'{kind} as {name}, {reader}', fn,
                        (p := place.box(name, data)).parent, p)
            if name.startswith('train-'):
                t.refuse(
                    f'{kind} as {name}, load_digits',
                    lambda p: load_digits('train', p.parent), place.box(name, data))
            shutil.rmtree(place.top/'boxes')
    if ZARR:
        for kind in STORES:
            # a record reads nothing until it is asked
            frames = {f'{k}, frames':fn for k,fn in readers_of(place, 'x.zarr').items()}
            for reader, fn in (of_file(place) | frames).items():
                t.refuse(f'zarr {kind}, {reader}', fn, zarr_store(place, kind))
    yield t.row(
        f'{len(corpus)} malicious '
        f'files{f" and {len(STORES)} Zarr stores with pickle codecs" * ZARR} '
        f'under {len(NAMES)} names through '
        f'{len(of_file(place)) + len(of_run(place)) + 2} readers and commands')

RECIPES = [
    {'class': c, 'args': a}
    for c, a in [
        ('os.system', {'command': 'id'}), ('builtins.eval', {'source': '1'}),
        ('torch.load', {'f': 'x'}),
        ('convlstm_nb.checkpoint.load_model', {'folder': '.'}),
        ('__import__', {'name': 'os'}), (['EncoderForecaster'], {}),
        ({'py': 'EncoderForecaster'}, {}), (None, {}), ('', {}),
        ('EncoderForecaster', {}), ('EncoderForecaster', [1]),
        ('EncoderForecaster', {'in_channels': 1, 'depth': 3}),
        ('EncoderForecaster', {'in_channels': 1, 'device': 'cuda'}),
        ('EncoderForecaster', SPEC['args'] | {'device': 'cpu'}),
        ('EncoderForecaster', {'in_channels': 1, 'hidden_channels': [10**9]}),
        ('EncoderForecaster', {'in_channels': 10**15, 'hidden_channels': [10**15]}),
        ('EncoderForecaster', {'in_channels': 1, 'hidden_channels': [1] * 3000}),
        ('EncoderForecaster', {'in_channels': 1, 'padding_mode': 'os.system'}),
        ('EncoderForecaster', {'in_channels': 1, 'norm': {'a': 1}}),
        ('EncoderForecaster', {'in_channels': -1})]]
TEXTS = [
    '', '{', '[]', 'null', '{"model": 1}', '{"model": {"class": "EncoderForecaster"}}',
    '[' * 100_000, '{"model":' * 50_000, '{"model": ' + '9' * 10_000 + '}',
    '!!python/object/apply:os.system ["id"]', '{"model": NaN}', '\ufeff{}']

def recipes(place):
    "Recipes that name other things"
    t = Tally(place)
    for i,spec in enumerate(RECIPES):
        for reader,fn in of_run(place).items():
            config = json.dumps(dict(model=spec, data=DATA, seed=0)).encode()
            p = place.box('config.json', config)
            # beside weights that say otherwise
            t.refuse(f'recipe {i}, {reader}', fn, p.parent, p.parent)
            save_tensors(
                p.with_name('model.safetensors'), place.model.state_dict(),
                dict(model=spec))
            t.refuse(f'recipe {i} in both files, {reader}', fn, p.parent, p.parent)
    for i,text in enumerate(TEXTS):
        for reader, fn in of_run(place).items():
            t.refuse(
                f'text {i}, {reader}', fn,
                (p := place.box('config.json', text.encode())).parent, p.parent)
    yield t.row(
        f'{len(RECIPES)} recipes that are not those of a model, alone and in both '
        f'files, and {len(TEXTS)} texts that are no config',
        'each refused with the folder named, none runs')
    t = Tally(place)
    for v in (float('nan'), float('inf')):
        for reader, fn in of_run(place).items():
            p = place.box(
                'config.json', (place.run / 'config.json').read_bytes()
            ).with_name('model.safetensors')
            weights = place.model.state_dict()
            save_tensors(
                p,
                {
                    k: torch.full_like(w, v) if 'bias' in k else w
                    for k, w in weights.items()},
                dict(model=SPEC))
            t.refuse(f'weights of {v}, {reader}', fn, p.parent, p)
            save_tensors(
                p, weights,
                dict(model=SPEC | {'args': SPEC['args'] | dict(peephole='channel')}))
            t.refuse(f'another recipe beside the weights, {reader}', fn, p.parent, p)
    yield t.row(
        'weights that are NaN or infinite, and weights beside a recipe that is not '
        'theirs', 'each refused with the file named')
    t,grew = Tally(place),[]
    for i,state in enumerate(STATES):
        p = place.box('training.safetensors', b'')
        save_tensors(p, {'0':torch.zeros(3)}, dict(state=state))
        for reader, fn in dict(
            read_training=read_training, resume=lambda p: resume(p.parent)
        ).items():
            grew.append(watch(t, f'state {i}, {reader}', fn, p))
    for i, config in enumerate(TRAININGS):
        p = place.box('training.safetensors', b'')
        state = dict(model=place.model.state_dict())
        save_tensors(p, *pack(dict.fromkeys(KEYS) | dict(state=state, config=config)))
        grew.append(watch(t, f'training {i}', lambda p: resume(p.parent), p))
    yield small(
        t, grew,
        f'{len(STATES)} checkpoints with a right checksum that hold something else '
        f'than a training, and {len(TRAININGS)} of trainings that ask for more than '
        'they hold, to go on with')

def deep(n, o=1):
    for _ in range(n): o = [o]
    return o

KEYS   = (
    'epoch', 'batch', 'seconds', 'settings', 'machine', 'config', 'state', 'start',
    'now', 'others')
STATES = [
    None,
    1,
    'x',
    [],
    {},
    {'dict': []},
    {'dict': 1},
    {'dict': [[1]]},
    {'dict': [['epoch', 1]]},
    {'tensor': '0'},
    {'tensor': '7'},
    {'rows': []},
    {'tuple': 1},
    {'os.system': 'id'},
    {'a': 1, 'b': 2},
    deep(150),
    deep(400),
    *(
        {'dict': [[k, v] for k in KEYS]}
        for v in (
            {'array': ['<U500000000', ['x']]}, {'array': ['O', 1]},
            {'array': ['os', []]}, {'array': []}))][:-3]

HONEST    = dict(model=SPEC, data=DATA, train={}, seed=0)
TRAININGS = [
    None,
    [],
    'x',
    {},
    HONEST | dict(model=None),
    HONEST | dict(data=None),
    HONEST | dict(data={}),
    *(HONEST | dict(model=r) for r in RECIPES),
    *(
        HONEST | dict(model=SPEC | dict(args=SPEC['args'] | dict(hidden_channels=[n])))
        for n in (500, 1500)),
    *(
        HONEST | dict(data=DATA | d)
        for d in (
            dict(train=10**9), dict(motion=DATA['motion'] | dict(size=10**6)),
            dict(motion=DATA['motion'] | dict(n_digits=10**9)), dict(motion=None))),
    HONEST | dict(train=asdict(PRESETS['quick'].train) | dict(num_workers=10**6))]

def forge(rest='', meta='{}', data=b'', size=None):
    "A file of tensors with a right checksum and a table of contents that lies"
    # of no tensors: safetensors itself refuses what `rest` says
    entry = json.dumps(dict(sha256=_checksum({}, meta), meta=meta))
    table = json.dumps({'__metadata__': {'convlstm_nb': entry}})[:-1] + rest + '}'
    size  = len(table) if size is None else size
    return size.to_bytes(8, 'little') + table.encode() + data

def tensor(dtype, shape, *offsets):
    return ',"x":' + json.dumps(dict(dtype=dtype, shape=shape, data_offsets=offsets))

def npy(shape, descr='<f4', data=b'1234', header=None):
    text = (
        header or f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}"
    ).encode() + b'\n'
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text + data

def npz(members, links=(), packing=zipfile.ZIP_STORED):
    "A zip file with these members"
    def write(f):
        with zipfile.ZipFile(f, 'w') as z:
            for name,data in members.items():
                info = zipfile.ZipInfo(name)
                if name in links: info.external_attr = 0o120777 << 16
                z.writestr(info, data, packing)
    return saved(write)

def unpacking(size):
    """A zip file whose table of contents says that a few deflated bytes become an
    array of `size` bytes"""
    array  = npy((1,1,size//4))
    data   = bytearray(npz({'a.npy':array}, packing=zipfile.ZIP_DEFLATED))
    at     = data.index(b'PK\x01\x02') + 24 # its size once unpacked
    data[at:at+4] = struct.pack('<I', len(array)-4+size)
    return bytes(data)

def stored(size):
    """A zip file whose table of contents says that an array of `size` bytes lies in
    it as it is"""
    def write(f):
        with zipfile.ZipFile(f, 'w') as z: z.writestr('a.npy', npy((1,1,size//4)))
    data = bytearray(saved(write))
    at   = data.index(b'PK\x01\x02') + 20 # the two sizes
    length = data.index(b'1234') + size - data.index(b'\x93NUMPY')
    data[at:at+8] = struct.pack('<II', length, length)
    return bytes(data)

LIES = {
    'model.safetensors': [
        forge(tensor('F32', [2**40], 0, 2**42)),
        forge(tensor('F32', [2**31, 2**31, 2**31], 0, 4), data=b'1234'),
        forge(tensor('F32', [2**62, 4], 0, 0)), forge(tensor('F32', [1], 0, 2**63)),
        forge(tensor('F32', [1], 4, 0), data=b'1234'),
        forge(tensor('F32', [1], 4, 8), data=b'12345678'),
        forge(tensor('F32', [1], -4, 0)), forge(tensor('O', [1], 0, 4), data=b'1234'),
        forge(tensor('F32', [-1], 0, 4), data=b'1234'), forge(',"y":' + '[' * 100_000),
        forge(size=2**63), forge(size=2**40), forge(size=10**6), forge(size=3),
        forge(meta='x'), forge(meta='[]'), forge(meta='[' * 100_000),
        forge(meta='{"model":' * 50_000), forge(',"x":null'),
        forge(tensor('F32', [1.5], 0, 4), data=b'1234')],
    'x.npy': [
        npy((10**12,)), npy((2**62, 4)), npy((2**31, 2**31, 2**31)),
        npy((10**6, 10**6, 1), '|u1'), npy((-1, 4, 4)), npy((1, 1, 1), '|O'),
        npy((1, 1, 1), [('a', '|O')]), npy((1, 1, 1), 'f4,(1000000000,)f4'),
        npy((1, 1, 1), '<U2000000000'), npy(0, header='[' * 60_000),
        npy(0, header='__import__("os").mkdir("canary")'),
        npy(0, header="{'descr': '<f4', 'shape': (1,1,1)}"),
        b'\x93NUMPY\x02\x00\xff\xff\xff\xff{', b'\x93NUMPY\x09\x00\x00\x00'],
    'x.npz': [
        npz({'a.npy': npy(s)}, packing=p)
        for p in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        for s in ((10**12,), (10**6, 10**6, 1), (-1, 4, 4))]
    + [
        npz({'a.npy': npy((1, 1, 1), data=b'1234' * 10)}, packing=zipfile.ZIP_DEFLATED),
        unpacking(2**31), npz({'a.npy': npy((1, 1, 1), '|O')}), npz({}),
        npz({'a.npy': b'no'}), npz({'a.txt': b'no'}),
        npz({'../../../outside/evil.npy': npy((10**12,))}), stored(2**20),
        stored(2**31)],
    'train-images-idx3-ubyte': [
        b'\0\0\x08\x03' + b'\xff' * 12, b'\0\0\x08\xff' + b'\xff' * 1020,
        b'\0\0\x08\x03' + struct.pack('>3I', 4000, 1000, 1000),
        b'\0\0\x08\x03' + struct.pack('>3I', 60_000, 28, 28) + b'1234',
        b'\0\0\x0d\x03' + b'\0' * 12]}
LIES['train-images-idx3-ubyte.gz'] = [
    gzip.compress(b) for b in LIES['train-images-idx3-ubyte']]

def readers_of(place, name):
    "Who reads a file of that name"
    if name == 'model.safetensors':
        return {'load_tensors': load_tensors} | {
            k: lambda p, fn=fn: fn(p.parent) for k, fn in of_run(place).items()}
    if name == 'config.json':
        return {k: lambda p, fn=fn: fn(p.parent) for k, fn in of_run(place).items()}
    if name.startswith('train-'):
        return {
            'read_idx': _read_idx,
            'load_digits': lambda p: load_digits('train', p.parent)}
    if name in IMAGES:
        return {
            k: lambda p, fn=fn: fn(p.parent)
            for k, fn in dict(
                image_dataset=lambda p: image_dataset(p).load(),
                open_records=lambda p: read_all(open_records(p))).items()}
    some = {
        k: lambda p, fn=fn: read_all(fn(p)) for k, fn in of_file(place).items()
        if k in ('file_records', 'open_records')}
    if name in ('x.nc', 'x.cdf', 'x.zarr'):
        some['ArchiveWindows'] = lambda p: [*ArchiveWindows(open_records(p), 2, 2)]
    if name not in ('x.npy','x.npz'): return some
    return some | {
        k: fn
        for k, fn in of_file(place).items()
        if k
        in (
            'open_npy' if name == 'x.npy' else 'open_npz', 'numpy_dataset',
            'read_frames', 'convlstm_predict', 'convlstm_evaluate')}

IMAGES  = ['x.png','x.tif','x.bmp','x.jpg']

def read_all(records):
    "A record is read when its frames are asked for"
    return [r.missing() for r in records]

def film(place, name, repeat=1):
    "A good film as a file of that kind, its frames perhaps `repeat` times"
    from PIL import Image
    a,path = np.tile(np.load(place.film), (repeat,1,1)),place.box(name, b'')
    pictures = [Image.fromarray((f*255).astype(np.uint8)) for f in a]
    if name=='x.gif': pictures[0].save(path, save_all=True, append_images=pictures[1:])
    elif name in IMAGES: pictures[0].save(path)
    else:
        import xarray
        ds = xarray.Dataset(
            {'rain': (('time', 'y', 'x'), a)}, coords={'time': np.arange(8)})
        if name == 'x.nc':
            ds.to_netcdf(path, engine='h5netcdf', encoding={'rain': {'zlib': True}})
        if name == 'x.cdf':
            ds.to_netcdf(
                path, engine='scipy', format='NETCDF3_CLASSIC', unlimited_dims=['time'])
    return path.read_bytes()

def chunk(kind, data):
    return (
        struct.pack('>I', len(data)) + kind + data
        + struct.pack('>I', zlib.crc32(kind + data)))

def foreign_lies(place):
    "Headers that lie, in formats of others"
    png = lambda w, h, depth=8, n=1000: (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, depth, 0, 0, 0, 0))
        + chunk(b'IDAT', zlib.compress(bytes(n), 9)) + chunk(b'IEND', b''))
    bmp = lambda w, h: (
        b'BM' + struct.pack('<IHHI', 100, 0, 0, 54)
        + struct.pack('<IiiHHIIiiII', 40, w, h, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(46))
    tags = lambda *ts: (
        b'II*\0' + struct.pack('<IH', 8, len(ts))
        + b''.join(struct.pack('<HHII', *t) for t in ts) + bytes(4))
    tif = lambda w, h, count=1: tags(
        (256, 4, 1, w), (257, 4, 1, h), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, count, 8), (277, 3, 1, 1), (278, 4, 1, h),
        (279, 4, count, w * h % 2**32))
    jpg  = film(place, 'x.jpg')
    sof  = jpg.index(b'\xff\xc0')
    gif  = film(place, 'x.gif')
    many = film(place, 'x.gif', 20)
    last = gif.rindex(b'!\xf9') # where the last frame begins
    wide = lambda gif, n: gif[:6] + struct.pack('<HH', n, n) + gif[10:]
    found = {
        'x.png': [
            png(2**31 - 1, 2**31 - 1), png(60_000, 60_000, 16), png(0, 4),
            png(20_000, 4_000), png(10_000, 10_000, 8, 10_000 * 10_001),
            b'P5 16 16 255 ' + bytes(256)],
        'x.bmp': [
            bmp(2**31 - 1, 2**31 - 1), bmp(2**20, -(2**20)), bmp(0, 0), bmp(9000, 9000),
        ],
        'x.tif': [
            tif(2**31, 2**31), tif(60_000, 60_000), tif(4, 4, 2**31), tif(9000, 9000)],
        'x.jpg': [jpg[: sof + 5] + struct.pack('>HH', 65535, 65535) + jpg[sof + 9 :]],
        'x.gif': [
            wide(gif, 65535), wide(gif, 30_000), wide(many, 9000), gif[:last], gif[:-1],
        ]}
    import h5py
    four = lambda n: struct.pack('>I', n)
    cdf  = film(place, 'x.cdf') # SciPy asks for as much memory as a name in it claims
    found['x.cdf'] = [
        cdf.replace(four(16), four(2**30)),
        cdf[:4] + four(2**31 - 1) + cdf[8:],
        *(
            b'CDF\x01' + four(0) + four(10) + rest
            for rest in (
                four(2**31 - 1), four(1) + four(2**31 - 1),
                four(1) + four(1) + b'x\0\0\0' + four(2**32 - 1))),
        b'CDF\x05' + cdf[4:],
        b'CDF\x01' + b'\xff' * 100]
    def hdf(write):
        path = place.box('x.nc', b'')
        path.unlink()
        with h5py.File(path, 'w') as f: write(f)
        return path.read_bytes()
    claim = lambda *shape, **kw: hdf(
        lambda f: f.create_dataset(
            'rain', shape, 'f4', chunks=kw.pop('chunks', True), **kw))
    def virtual(f):
        layout = h5py.VirtualLayout((8,16,16), 'f4')
        layout[:] = h5py.VirtualSource(str(place.outside/'victim'), 'rain', (8,16,16))
        f.create_virtual_dataset('rain', layout)
    def link(l): # a good film but for where its frames lie
        path = place.box('x.nc', film(place, 'x.nc'))
        with h5py.File(path, 'r+') as f: del f['rain']; f['rain'] = l
        return path.read_bytes()
    other = place.box('other.nc', film(place, 'x.nc'))
    def bomb(name, data, at, shape, *filters): # a good film in which one chunk is another, or was packed by other filters
        def write(f):
            props = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            props.set_chunk(shape)
            for code,*values in filters: props.set_filter(code, 0, tuple(values))
            f['rain'].dims[0].detach_scale(f['time']) # the rest is as it should be
            for n in {name,'time'}: del f[n]
            h5py.h5d.create(
                f.id, name.encode(), h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple(shape),
                props)
            f[name].id.write_direct_chunk(at, data)
            if name == 'time':
                f[name].make_scale(name)
                f['rain'].dims[0].attach_scale(f[name])
        path = place.box('x.nc', film(place, 'x.nc'))
        with h5py.File(path, 'r+') as f: write(f)
        return path.read_bytes()
    zeros,cube = zlib.compress(bytes(2**28), 9),((0,0,0), (8,128,128))
    bombs = [
        bomb('rain', zeros, *cube, (1, 4)),
        bomb(
            'rain', zlib.compress(zeros, 9), *cube, (1, 4), (1, 4)
        ),  # compressed twice: unpacked once, it is no larger than it may be
        bomb(
            'rain', bytes([0, 0]) + bytes([0xE0, 255, 0]) * 10**6, *cube,
            (32000, 4, 261, 8 * 128 * 128 * 4)),
        bomb('time', zlib.compress(bytes(2**27), 9), (0,), (8,), (1, 4)),
    ]
    found['x.nc'] = bombs + [
        claim(10**7, 2**13, 2**13),
        claim(2**60, 4, 4),
        claim(8, 2**15, 2**15),
        claim(10**6, 2**12, 2**12, compression='gzip'),
        hdf(virtual),
        link(h5py.ExternalLink(str(other), '/rain')),
        link(h5py.ExternalLink(str(place.outside / 'victim'), '/rain')),
        link(h5py.SoftLink('/rain')),
        link(h5py.SoftLink('/elsewhere')),
        hdf(
            lambda f: f.create_dataset(
                'rain', (8, 16, 16), 'f4',
                external=[(str(place.outside / 'victim'), 0, 8192)])),
        hdf(lambda f: f.create_dataset('rain', (8, 16, 16), h5py.string_dtype())),
        hdf(
            lambda f: f.create_dataset('rain', (8, 16, 16), [('a', 'f4'), ('b', 'i4')])
        ),
        hdf(lambda f: None)]
    return found

def odd_stores(place):
    "Zarr stores that claim too much, or hold what they do not say"
    import numcodecs
    blosc = bytes([2,1,33,4]) + struct.pack('<III', 2**31-17, 2**20, 40) + bytes(24)
    packed = lambda c, n: (
        dict(id=c), bytes(numcodecs.get_codec(dict(id=c)).encode(bytes(n))))
    cube   = [8,64,64], [8,64,64]
    # Zstandard, 250 MiB of one byte
    unsaid = b'\x28\xb5\x2f\xfd\0\x58' + b''.join(
        (last | 1 << 1 | 2**17 << 3).to_bytes(3, 'little') + b'\0'
        for last in [0] * 2000 + [1])
    bombs = [
        (*cube, *packed(c, n))
        for c, n in dict(
            zlib=2**27, gzip=2**27, bz2=2**29, zstd=2**29, lz4=2**25, blosc=2**25
        ).items()] + [
        (*cube, dict(id='lzma'), lzma.compress(bytes(2**27), preset=0)),
        (*cube, dict(id='zstd'), unsaid),
        (*cube, dict(id='vlen-utf8'), b'\xff\xff\xff\x1f')]
    cases = bombs + [
        ([10**9, 10**5, 10**5], [1, 10, 10], None, b''),
        ([8, 16, 16], [2**30, 2**30, 2**30], None, b'1234'),
        (
            [8, 16, 16], [8, 16, 16],
            dict(id='blosc', cname='lz4', clevel=5, shuffle=1, blocksize=0), blosc),
        (
            [8, 16, 16], [8, 16, 16], dict(id='zlib', level=1),
            zlib.compress(bytes(2**29), 9)),
        ([8, 16, 16], [8, 16, 16], dict(id='gzip', level=1), b'1234'),
        ([8, 16, 16], [8, 16, 16], None, b'1234'),
        ([-8, 16, 16], [8, 16, 16], None, b''),
        ([8, 16, 16], [0, 16, 16], None, b''),
        ([2**62, 16, 16], [8, 16, 16], None, b''),
        ([8, 16, 16], [2**12, 2**10, 2**10], dict(id='blosc'), blosc)]
    for shape, chunks, compressor, data in cases:
        words = compressor == dict(id='vlen-utf8')
        yield store(
            place, shape, chunks, data,
            **dict(dtype='|O', fill_value='', filters=[compressor]) if words
            else dict(compressor=compressor))
    twice = numcodecs.get_codec(dict(id='zlib', level=9)).encode(
        zlib.compress(bytes(2**28), 9))
    yield store(
        place, *cube, bytes(twice), filters=[dict(id='zlib', level=9)],
        compressor=dict(id='zlib', level=9))
    sparse = store(place, *cube, b'1234')
    os.truncate(sparse/'rain'/'0.0.0', 2**30)
    yield sparse
    film = store(place, [8,16,16], [8,16,16], bytes(4*8*16*16))
    yield add_array(
        film, 'time', [8], [8], b'\xff\xff\xff\x1f', dtype='|O', fill_value='',
        filters=[dict(id='vlen-utf8')])

def store(place, *args, **meta):
    "A Zarr store of one array in time, y and x"
    folder = place.box('x', b'').parent/'x.zarr'
    folder.mkdir()
    (folder/'.zgroup').write_text(json.dumps(dict(zarr_format=2)))
    return add_array(folder, 'rain', *args, **meta)

def add_array(folder, name, shape, chunks, data, dims=('time','y','x'), **meta):
    "An array with one chunk for a Zarr store"
    (folder/name).mkdir()
    write = lambda file, o: (folder/name/file).write_text(json.dumps(o))
    write('.zattrs', dict(_ARRAY_DIMENSIONS=dims if len(shape)==3 else [name]))
    write(
        '.zarray', dict(zarr_format=2, shape=shape, chunks=chunks, order='C')
        | dict(dtype='<f4', compressor=None, fill_value=0, filters=None) | meta)
    if data: (folder/name/'.'.join('0'*len(shape))).write_bytes(data)
    return folder

def status(name):
    return next(
        int(l.split()[1]) * 1024
        for l in Path('/proc/self/status').read_text().splitlines()
        if l.startswith(name))

def in_child(fn):
    """What `fn` returns in a child process that may have half a gigabyte more, and
    by how many bytes its memory grew at its peak"""
    r,w = os.pipe()
    if not (pid := os.fork()):
        os.close(r)
        try:
            Path('/proc/self/clear_refs').write_text('5') # the peak begins anew
            before = status('VmRSS')
            resource.setrlimit(resource.RLIMIT_AS, (status('VmSize')+GB//2,)*2)
            found = fn()
            os.write(w, json.dumps([found, status('VmHWM')-before]).encode())
        except BaseException as e: os.write(w, json.dumps([[f'{type(e).__name__}: {e}'[:150]], 0]).encode())
        finally: os._exit(0)
    os.close(w)
    with open(r, 'rb') as f: said = f.read()
    os.waitpid(pid, 0)
    return json.loads(said) if said else [['the process died'],0]

def watch(t, what, fn, path, named=None):
    """Let `fn` refuse in a child process, and count for `t`; by how many bytes its
    memory grew"""
    def one():
        mine = Tally(t.place)
        mine.refuse(what, fn, path, named)
        return mine.bad
    bad,grew = in_child(one)
    t.calls += 1
    t.bad += bad
    return grew

def lies(place):
    "Headers and recipes that claim more than there is"
    t,grew = Tally(place),[]
    files = LIES | foreign_lies(place)
    for name,many in files.items():
        for i,data in enumerate(many):
            for reader, fn in readers_of(place, name).items():
                grew.append(
                    watch(
                        t, f'{name} {i}, {reader}', fn, p := place.box(name, data),
                        p.parent if name in IMAGES else p))
    for hidden in (
        1500, 500,
    ):  # 650 MB of weights, which this process may not have, and 72 MB, which it may
        large = {
            'class': 'EncoderForecaster',
            'args': dict(in_channels=1, hidden_channels=[hidden])}
        p = place.box(
            'config.json', json.dumps(dict(model=large, data=DATA, seed=0)).encode())
        save_tensors(
            p.with_name('model.safetensors'), place.model.state_dict(),
            dict(model=large))
        for reader, fn in of_run(place).items():
            grew.append(watch(t, f'large recipe, {reader}', fn, p.parent))
    yield small(
        t, grew,
        f'{sum(map(len, files.values()))} headers that lie, in {len(files)} kinds of '
        'file, those of safetensors with a right checksum, and two recipes for more '
        'than the file holds')
    if ZARR:
        t,grew = Tally(place),[]
        stores = list(odd_stores(place))
        for i,folder in enumerate(stores):
            for reader, fn in readers_of(place, 'x.zarr').items():
                grew.append(watch(t, f'store {i}, {reader}', fn, folder))
        yield small(
            t, grew,
            f'{len(stores)} Zarr stores that claim more than they hold, or hold other '
            'than they claim')
    t = Tally(place)
    for d in SCALINGS: t.refuse(str(d)[:40], lambda _: Scaling.from_dict(d), '', '`')
    yield t.row(
        f'{len(SCALINGS)} dicts that are no scaling, through the scaling of a config',
        'each refused with the argument named')

def small(t, grew, what):
    "A row that wants little memory, too"
    row = t.row(
        what, 'each refused with the file named, with less than 64 MiB more memory')
    return row | dict(
        got=f"{row['got']}; at most {max(grew) / 2**20:.1f} MiB more",
        passed=row['passed'] and max(grew) < 2**26)

SCALINGS = [
    None, [], {}, 'x', dict(kind='standard'),
    dict(kind='standard', shift=0, scale=1, more=1)] + [
    dict(dict(kind='standard', shift=0, scale=1), **d)
    for d in (
        dict(kind='eval'), dict(kind=None), dict(kind=[]), dict(kind=[['standard']]),
        dict(kind=['standard', 'os.system']), dict(shift='0'), dict(scale=0),
        dict(scale=-1), dict(scale=float('nan')), dict(shift=float('inf')),
        dict(scale=10**400), dict(shift=[0]), dict(shift=[[[0]]]),
        dict(shift=[[[0], [0, 1]]]), dict(shift={}), dict(kind=['log', 'log']),
        dict(shift=None), dict(span='x'), dict(span=[]), dict(span=-1),
        dict(span=float('nan')), dict(span=[[1]]), dict(span={}))]

ASKS = [
    dict(size=10**6), dict(size=2000, horizon=1000), dict(horizon=10**9),
    dict(n_digits=10**9), dict(digit_size=10**6, size=10**6 + 1), dict(size='x'),
    dict(evil=1), dict(speed='ab'), dict(speed=[1, 1e308])]

OWN_SPEC = {
    'class': 'EncoderForecaster',
    'args': dict(in_channels=1, hidden_channels=[4], kernel_size=3, output='identity')}
OWN_ASKS = (
    [dict(data=d) for d in (None, [], 'x')]
    + [
        dict(data={k: v})
        for k, v in (
            ('context', 10**9), ('context', 'x'), ('horizon', 10**12), ('step', 0),
            ('stride', -1), ('test_stride', 0), ('test_stride', 10**30),
            ('test_stride', 'x'), ('period', 10**9), ('period', 'x'), ('path', None),
            ('path', ['x']), ('fill', 'x'), ('fill', [{}]), ('fill', [10**400]),
            ('covariates', ['os.system']), ('covariates', [1]), ('covariates', 'sunshine'),
            ('thresholds', 'x'), ('thresholds', [{}]), ('thresholds', [10**400]),
            ('thresholds', [*range(10**5)]))]
    + [
        dict(scaling=None), dict(scaling={}),
        dict(scaling=dict(kind='eval', shift=0, scale=1)), dict(mask=None),
        dict(mask='x'), dict(covariates='x'), dict(covariates=[]),
        dict(covariates={'a': 1}), dict(spacing='x'), dict(spacing=None),
        dict(spacing=[]), dict(variables=None), dict(variables=[]), dict(variables={}),
        dict(variables={'a': '', 'b': ''}), dict(variables={'value': 5})])

def asks(place):
    """Configs that ask `convlstm_evaluate` to draw more than a machine holds, or
    what cannot be drawn"""
    t,grew = Tally(place),[]
    for ask in ASKS:
        path = place.box(
            'config.json',
            json.dumps(
                dict(model=SPEC, data=dict(DATA, motion=DATA['motion'] | ask), seed=0)
            ).encode())
        grew.append(watch(t, str(ask), of_run(place)['convlstm_evaluate'], path.parent))
    yield small(
        t, grew,
        f'{len(ASKS)} configs that ask `convlstm_evaluate` for data beyond any '
        'machine, or for none')
    t, grew, path = (
        Tally(place),
        [],
        place.box(
            'long.npy',
            saved(np.save, np.random.default_rng(0).random((60, 16, 16), np.float32))))
    data = asdict(FileData(str(path), context=2, horizon=2))
    good = dict(
        data=data, scaling=dict(kind='standard', shift=[[[0.0]]], scale=[[[1.0]]]),
        mask=False, spacing=1.0, variables={'value': ''})
    commands = dict(
        convlstm_predict=lambda d: silently(
            cli.convlstm_predict, str(d), data=str(path), out=str(d / 'out.npy')),
        convlstm_evaluate=lambda d: silently(
            cli.convlstm_evaluate, str(d), data=str(path)))
    def run(config):
        folder = place.box('x', b'').parent
        save_model(folder, build_model(OWN_SPEC), OWN_SPEC, **config)
        return folder
    taken = 0
    for fn in commands.values():
        with contextlib.suppress(Exception): fn(run(good)); taken += 1
    for ask in OWN_ASKS:
        said = (
            data | ask['data'] if isinstance(ask.get('data'), dict)
            else ask.get('data', data))
        for command, fn in commands.items():
            grew.append(
                watch(
                    t, f'{ask}, {command}'[:60], fn, run(good | ask | dict(data=said)),
                    place.top))
    row = small(
        t, grew,
        f'{len(OWN_ASKS)} configs of a run on a file that ask for what cannot be, '
        'through convlstm_predict and convlstm_evaluate')
    yield row | dict(
        got=f"{row['got']}; the good one {taken} times of 2 taken",
        passed=row['passed'] and taken == 2)

def cuts(place):
    "Every kind of file, cut at ten points"
    a    = np.load(place.film)
    idx  = b'\0\0\x08\x03' + struct.pack('>3I', 9, 28, 28) + bytes(range(252))*28
    whole = {
        'config.json': (place.run / 'config.json').read_bytes(),
        'model.safetensors': (place.run / 'model.safetensors').read_bytes(),
        'x.npy': saved(np.save, a),
        'x.npz': saved(np.savez, a=a),
        'train-images-idx3-ubyte': idx,
        'train-images-idx3-ubyte.gz': gzip.compress(idx),
        **{
            name: film(place, name)
            for name in [*IMAGES, 'x.gif', 'x.nc', 'x.cdf']}}
    t = Tally(place)
    accepted = 0
    for name,data in whole.items():
        for reader,fn in readers_of(place, name).items():
            with contextlib.suppress(Exception):
                fn(place.box(name, data))
                accepted += 1
            for i in range(10):
                t.refuse(
                    f'{name} cut at {i}/10, {reader}', fn,
                    place.box(name, data[: len(data) * i // 10]))
    row = t.row(
        f'{len(whole)} kinds of file, cut at ten points, through their readers and '
        'commands', 'each refused with the file named; the whole file is taken')
    yield row | dict(
        got=f"{row['got']}; whole, {accepted} of {t.calls // 10} taken",
        passed=row['passed'] and accepted == t.calls // 10)

def outside(place):
    "Names and links that lead out of the folder"
    for name in (
        '../../../outside/evil.npy', '/' + str(place.outside / 'evil.npy'), 'a.npy'):
        data = npz({name: npy((1, 4, 4), data=bytes(64))}, links=[name])
        for fn in of_file(place).values():
            with contextlib.suppress(Exception):
                fn(place.box('x.npz', data))
    read = place.touched()
    victim = place.outside/'victim'
    run = place.box('x', b'').parent
    for name in ('evaluation.json','model.safetensors','config.json','out.npy','model.pt2'):
        (run/name).unlink(missing_ok=True)
        (run/name).symlink_to(victim)
        # a stranger who guesses what we would write to
        for n in range(2000):
            (run / f'.{name}.{os.getpid()}-{n}.tmp{Path(name).suffix}').symlink_to(
                victim)
    error = ''
    try:
        save_model(run, place.model, SPEC, data=DATA, seed=0)
        runs.evaluate_run(run)
        runs.predict_run(run, place.film, run/'out.npy', force=True)
        export_model(run/'model.pt2', place.model, force=True)
    except (ValueError, OSError) as e: error = f', {e}'.replace(str(place.top), '…')
    links = [p.name for p in run.iterdir() if p.is_symlink()]
    found = read + place.touched()
    yield dict(
        what='archives with `../`, absolute names and links through every reader; a '
        'run folder full of links that lead out, written to by save_model, '
        'export_model and the commands',
        wanted='nothing made or changed outside, no link followed',
        got=f'{len(found)} things outside {found or ""}, {len(links)} links '
        f'left{error}', passed=not found and not links and not error)

def edges(place):
    "Data that are odd, and data that are bad"
    film = np.load(place.film)
    at = lambda v: np.where(film==film.max(), v, film).astype(np.float32)
    good = {
        'constant': film * 0 + 0.5, 'blank': film * 0, 'all one': film * 0 + 1,
        'one frame': film[:1]}
    bad = {
        'a NaN': at(np.nan), 'an infinite pixel': at(np.inf), 'all NaN': film * np.nan,
        'no frame': film[:0], 'no pixel': film[:, :0],
        'whole numbers': (film * 9).astype(int), 'text': film.astype('U4'),
        'complex': film + 0j, 'too large for float32': film.astype(float) * 1e300}
    finite,t = 0,Tally(place)
    for name,a in good.items():
        path = place.box('x.npy', saved(np.save, a))
        runs.predict_run(place.run, path, path.parent/'out.npy')
        finite += bool(np.isfinite(np.load(path.parent/'out.npy')).all())
    for name,a in bad.items():
        for reader in ('read_frames', 'convlstm_predict', 'convlstm_evaluate'):
            t.refuse(
                f'{name}, {reader}', of_file(place)[reader],
                place.box('x.npy', saved(np.save, a)))
    t.refuse(
        'one frame to evaluate', of_file(place)['convlstm_evaluate'],
        place.box('x.npy', saved(np.save, good['one frame'])))
    empty = place.top/'boxes'/'empty'
    empty.mkdir()
    for reader, fn in of_run(place).items():
        t.refuse(f'empty folder, {reader}', fn, empty)
    for reader, fn in of_file(place).items():
        t.refuse(f'empty folder, {reader}', fn, empty)
    t.refuse('empty folder, load_digits', lambda p: load_digits('train', p), empty)
    yield dict(
        what=', '.join(good) + ': forecast', wanted=f'{len(good)} finite forecasts',
        got=f'{finite} finite', passed=finite == len(good))
    yield t.row(
        ', '.join(bad) + ', one frame to score, an empty folder',
        'each refused with the file or folder named')
    trained = 0
    for value in (0., .5, 1.):
        learn = tiny_learner(torch.full((8,2,1,8,8), value))
        with learn.no_bar(), learn.no_logging(): learn.fit(2, 1e-2)
        trained += all(bool(p.isfinite().all()) for p in learn.model.parameters())
    yield dict(
        what='training on blank, constant and full frames',
        wanted='3 models with finite weights', got=f'{trained} finite',
        passed=trained == 3)

def window_edges(place):
    "Data that are odd or bad, from a file to windows and a scaling"
    a = np.load(place.film)
    hole,lost = a.copy(),a.copy()
    hole[2,:4],hole[7,5,5],lost[3] = np.nan,np.nan,np.nan
    def windows(data, name='x.npy', **kw):
        return Windows(open_records(place.box(name, saved(np.save, data))), 2, 2, **kw)
    good = {
        'constant': a * 0 + 0.5, 'blank': a * 0, 'whole numbers': (a * 9).astype(int),
        'bytes': (a * 255).astype(np.uint8), 'a frame partly missing': hole,
        'a frame that is missing': lost}
    right = 0
    for data in good.values():
        ds = windows(data)
        xs, ys = (torch.stack(v) for v in zip(*(ds[i] for i in range(len(ds)))))
        wanted = torch.from_numpy(data.astype(np.float32))[:, None] * (
            1 / 255 if data.dtype == np.uint8 else 1)
        starts = [int(t) for _, t in ds.starts]
        same = all(
            torch.allclose(y, wanted[t + 2 : t + 4], equal_nan=True)
            and torch.allclose(x, wanted[t : t + 2].nan_to_num())
            for x, y, t in zip(xs, ys, starts))
        right += same and bool(xs.isfinite().all()) and len(ds) == 5
    yield dict(
        what=', '.join(good) + ', through `open_records` and `Windows`',
        wanted=f'{len(good)} of {len(good)}: known frames finite, those to forecast as '
        'in the file, NaN where it has none', got=f'{right} right',
        passed=right == len(good))
    at = lambda v: np.where(a==a.max(), v, a).astype(np.float32)
    bad = {
        'an infinite pixel': at(np.inf), 'all NaN': a * np.nan, 'no frame': a[:0],
        'no pixel': a[:, :0], 'one frame': a[:1], 'text': a.astype('U4'),
        'complex': a + 0j, 'too large for float32': a.astype(float) * 1e300}
    t = Tally(place)
    for what, data in bad.items():
        t.refuse(
            what, lambda p: [*Windows(open_records(p), 2, 2)],
            place.box('x.npy', saved(np.save, data)))
    first = place.box('a.npy', saved(np.save, a))
    other = first.with_name('b.npy')
    np.save(other, a[:,:8])
    t.refuse(
        'two files of other sizes, joined', lambda p: open_records([first, other]),
        other)
    t.refuse(
        'two files of other sizes, apart',
        lambda p: Windows(open_records([first, other], join=False), 2, 2), other)
    pictures = place.box('x.png', film(place, 'x.png')).parent
    from PIL import Image
    Image.new('L', (8,8)).save(pictures/'y.png')
    t.refuse('pictures of mixed sizes', image_dataset, pictures, pictures/'y.png')
    empty = place.top/'boxes'/'nothing'
    empty.mkdir()
    t.refuse('an empty folder', open_records, empty)
    for what, data in [('constant', a * 0 + 0.5), ('all NaN', a * np.nan)]:
        t.refuse(
            f'a scaling of {what}', lambda p: fit_scaling('standard', open_records(p)),
            place.box('x.npy', saved(np.save, data)), '`records`')
    yield t.row(
        ', '.join(bad)
        + ', files and pictures of mixed sizes, an empty folder, a scaling of constant '
        'or missing values', 'each refused with the file or folder named')
    ds = windows(hole, max_missing=None)
    learn = convlstm_learner(
        sequence_dls(ds, ds, bs=4, device='cpu'), build_model(SPEC))
    error = ''
    try:
        with learn.no_bar(), learn.no_logging(): learn.fit(2, 1e-2)
    except ValueError as e: error = f', {type(e).__name__}: {e}'[:100]
    finite = all(bool(p.isfinite().all()) for p in learn.model.parameters())
    yield dict(
        what='training on a film with missing pixels', wanted='finite weights',
        got=f"weights {'finite' if finite else 'not finite'}{error}", passed=finite)

class Swap(Callback):
    "Put a pickle in place of the best model, after each epoch and at the end"
    order = 99
    def __init__(self, path, data): self.path,self.data = path,data
    def after_epoch(self): self.path.write_bytes(self.data)
    def before_fit(self): self.path.write_bytes(self.data)

def swapped(place):
    "The best file exchanged while training runs"
    path = place.box('model.safetensors', b'')
    learn = tiny_learner()
    save = lambda: save_model(path.parent, learn.model, SPEC)
    with learn.no_bar(), learn.no_logging():
        learn.fit(
            3, 1e-2, cbs=[KeepBest(save), Swap(path, pickle.dumps(Evil(place.canary)))])
    finite = all(p.isfinite().all() for p in learn.model.parameters())
    yield dict(
        what='the best model exchanged for a pickle after every epoch of training',
        wanted='nothing runs, and training ends well',
        got=f"{'it ran' if place.canary.exists() else 'nothing ran'}, weights "
        f"{'finite' if finite else 'not finite'}",
        passed=bool(finite) and not place.canary.exists())
    r = subprocess.run(
        [sys.executable, root / 'tools' / 'test_syntax.py'], capture_output=True,
        text=True)
    yield dict(
        what='calls in the package that unpickle or run text, by its syntax',
        wanted='none', got=(r.stdout or r.stderr).strip(), passed=r.returncode == 0)

def rows():
    torch.set_num_threads(1) # threads do not outlive a fork
    for part in (
        pickles, recipes, lies, asks, cuts, outside, edges, window_edges, swapped):
        with tempfile.TemporaryDirectory() as top:
            place = Place(top)
            if part is not pickles:
                (place.top / 'boxes').mkdir()
            yield from part(place)
