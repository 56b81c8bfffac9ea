"Files that outlast kills, full disks and flipped bits."
import os
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
import torch
from safetensors.torch import load as plain_load
from convlstm_nb.checkpoint import (
    build_model,
    load_model,
    load_tensors,
    save_model,
    save_tensors,
)
from convlstm_nb.checks import previous_path

N     = 30 # Kills
rng   = random.Random(0)
small = {'weights':torch.arange(3000.), 'step':torch.tensor(7)}

def fork(fn, said=None):
    "Run `fn` in a child process; what it raises goes to the file `said`"
    if pid := os.fork(): return pid
    try: fn()
    except BaseException as e:
        if said: Path(said).write_text(f'{type(e).__name__}: {e}')
    finally: os._exit(0)

def wait_for(path, seconds=60):
    "Wait until a file is there"
    end = time.time()+seconds
    while not Path(path).exists():
        if time.time() > end: raise TimeoutError(f'no {path}')
        time.sleep(.002)

def kill_one(writer, begun, longest, aim=False):
    """Start `writer`, wait until it has saved once, and kill it at a random moment
    after; with `aim`, while a temporary file is there"""
    pid = fork(writer)
    wait_for(begun)
    time.sleep(rng.random()*longest)
    if aim:
        while not hidden(Path(begun).parent): time.sleep(.0005)
        time.sleep(rng.random()*.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

def readable(read, *args):
    "Can it be read, without a word about it?"
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        try: read(*args)
        except Exception: return False
    return True

def hidden(folder): return [p for p in Path(folder).iterdir() if p.name.startswith('.')]

def again_and_again(save):
    "A writer that never ends"
    def write():
        for n in range(10**9): save(n)
    return write

def kills():
    "`kill -9` during a save at random moments"
    # 32 MB: some 50 ms to write
    big = {'weights':torch.rand(4_000_000), 'momentum':torch.rand(4_000_000)}
    lost = {'ours':0, 'previous':0, 'plain':0}
    orphans = left = 0
    for i in range(N):
        with tempfile.TemporaryDirectory() as d:
            path = Path(d) / 'checkpoint.safetensors'
            kill_one(
                again_and_again(
                    lambda n: save_tensors(path, big, dict(n=n), keep_previous=True)),
                previous_path(path),
                0.3,
                aim=i % 2)
            lost['ours'] += not readable(load_tensors, path)
            lost['previous'] += not readable(load_tensors, previous_path(path))
            orphans += len(hidden(d))
            save_tensors(path, small)
            left += len(hidden(d))
        with tempfile.TemporaryDirectory() as d:
            path = Path(d) / 'checkpoint.pt'
            kill_one(again_and_again(lambda n: torch.save(big, path)), path, 0.3)
            lost['plain'] += not readable(
                lambda p: torch.load(p, weights_only=True), path)
    yield dict(
        what=f'kill -9 during save_tensors, {N} random moments, half of them while the '
        'file is written',
        wanted='0 unreadable, of the last and of the one before, and at least '
        f'{N // 4} kills that leave an orphan',
        got=f"{lost['ours']} and {lost['previous']} unreadable, {orphans} orphans",
        passed=not lost['ours'] and not lost['previous'] and orphans >= N // 4)
    yield dict(
        what='the orphans of killed writers, after the next save', wanted='0 left',
        got=f'{left} of {orphans} left', passed=left == 0 and orphans > 0)
    yield dict(
        what=f'for comparison, kill -9 during a plain torch.save to the path, {N} '
        'random moments', wanted='some unreadable, or these kills show nothing',
        got=f"{lost['plain']} unreadable", passed=lost['plain'] > 0)

def die_before(stop, fn):
    """Run `fn` in a child process that is gone before the system call number `stop`;
    was it done before?"""
    def run():
        count = 0
        def counted(call):
            def one(*args, **kw):
                nonlocal count
                count += 1
                if count > stop: os._exit(9)
                return call(*args, **kw)
            return one
        for name in ('fsync', 'link', 'replace', 'open', 'unlink'):
            setattr(os, name, counted(getattr(os, name)))
        Path.write_bytes, Path.write_text = (
            counted(Path.write_bytes), counted(Path.write_text))
        fn()
    return os.waitpid(fork(run), 0)[1]==0

def every_step():
    "A kill before each system call of a save, so that no moment is missed"
    steps,bad = 0,[]
    with tempfile.TemporaryDirectory() as d:
        path = Path(d)/'checkpoint.safetensors'
        number = lambda p: (
            load_tensors(p)[1]['n'] if readable(load_tensors, p) else None)
        for stop in range(100):
            for n in (1,2): save_tensors(path, small, dict(n=n), keep_previous=True)
            done = die_before(
                stop, lambda: save_tensors(path, small, dict(n=3), keep_previous=True))
            last,before = number(path),number(previous_path(path))
            if last not in (2, 3) or before not in (1, 2):
                bad.append((stop, last, before))
            if done: break
            steps += 1
    yield dict(
        what='killed before each system call of a save',
        wanted='the last and the one before readable each time, 5 calls or more',
        got=f'{steps} calls, {len(bad)} times not' + (f' {bad}' if bad else ''),
        passed=not bad and 5 <= steps < 99)

def pairs():
    """A model saved over another whose weights have the same shapes, and killed
    before each system call"""
    specs = [
        {
            'class': 'EncoderForecaster',
            'args': dict(in_channels=1, hidden_channels=[4], output=o)}
        for o in ('sigmoid', 'identity')]
    models = [build_model(s) for s in specs]
    whole = mixed = wrong = 0
    with tempfile.TemporaryDirectory() as d:
        for stop in range(100):
            save_model(d, models[0], specs[0])
            done = die_before(stop, lambda: save_model(d, models[1], specs[1]))
            try:
                found = load_model(d)
                same = any(
                    found.output == m.output
                    and all(
                        torch.equal(v, found.state_dict()[k])
                        for k, v in m.state_dict().items())
                    for m in models)
                whole, wrong = whole + same, wrong + (not same)
            except ValueError as e:
                mixed, wrong = (
                    mixed + ('take both files from one run' in str(e)),
                    wrong + ('take both files from one run' not in str(e)))
            if done: break
    yield dict(
        what='killed before each system call while a model is saved over another',
        wanted='the one or the other whole, or a word that the files are of two; '
        'nothing else', got=f'{whole} whole, {mixed} named as mixed, {wrong} else',
        passed=wrong == 0 and whole > 1 and mixed > 0)

def limited():
    """As if the disk were full after 4 KB; the signal that comes with it is ignored,
    as a full disk sends none"""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

def unprivileged():
    "Root writes into any folder, so root becomes nobody first"
    if os.getuid()==0: os.setuid(65534)

def refused_saves():
    "A disk that is full, a folder that may not be written to"
    for what,mode,hinder in (('disk full', 0o755, limited), ('read-only folder', 0o555, unprivileged)):
        with tempfile.TemporaryDirectory() as top:
            os.chmod(top, 0o755)
            d,said = Path(top)/'run',Path(top)/'said'
            d.mkdir(); said.touch(); said.chmod(0o666)
            path = d/'checkpoint.safetensors'
            save_tensors(path, {'x':torch.ones(3)}, dict(n=1))
            before = {p.name: p.read_bytes() for p in d.iterdir()}
            d.chmod(mode)
            def write(): hinder(); save_tensors(path, small, keep_previous=True)
            os.waitpid(fork(write, said), 0)
            d.chmod(0o755)
            same, says = (
                before == {p.name: p.read_bytes() for p in d.iterdir()},
                said.read_text().replace(top, '…'))
            yield dict(
                what=f'saving with a {what}',
                wanted='the old file as it was, nothing left behind, an OSError that '
                'names the path',
                got=f"{'the same' if same else 'other'} files, {says or 'no error'}",
                passed=same and says.startswith(('OSError', 'PermissionError'))
                and f'`…/run/{path.name}` could not be written' in says)

def damaged(path, good, bad):
    "Was damage noticed, with the file named, and the one before used and said so?"
    path.write_bytes(bad)
    try: load_tensors(path); noticed = False
    except ValueError as e: noticed = str(path) in str(e)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        try: used = load_tensors(path, or_previous=True)[1]=={'n':1}
        except ValueError: used = False
    path.write_bytes(good)
    return noticed, used and any(
        str(previous_path(path)) in str(w.message) for w in said)

def damage():
    "Flipped bits and cut files"
    with tempfile.TemporaryDirectory() as d:
        path = Path(d)/'checkpoint.safetensors'
        for n in (1,2): save_tensors(path, small, dict(n=n), keep_previous=True)
        good = path.read_bytes()
        def flipped(bit):
            bad = bytearray(good)
            bad[bit//8] ^= 1 << bit%8
            return bytes(bad)
        flips = [flipped(rng.randrange(8*len(good))) for _ in range(40)]
        cuts  = [good[:len(good)*i//10] for i in range(10)]
        for name, bads in (('40 flipped bits', flips), ('10 truncations', cuts)):
            noticed, used = map(sum, zip(*(damaged(path, good, b) for b in bads)))
            plain = sum(not readable(plain_load, b) for b in bads)
            yield dict(
                what=f'{name} in a checkpoint',
                wanted=f'{len(bads)} noticed with the file named, the one before used '
                f'{len(bads)} times and named',
                got=f'{noticed} noticed, {used} times used (safetensors alone notices '
                f'{plain})', passed=noticed == used == len(bads))
        path.unlink()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            try: got = f"save {load_tensors(path, or_previous=True)[1]['n']} of 2"
            except OSError as e: got = type(e).__name__
        yield dict(
            what='a checkpoint that is gone', wanted='the one before, and said so',
            got=f'{got}, {len(said)} warning',
            passed=(got, len(said)) == ('save 1 of 2', 1))

def every_format():
    "A model in each format of the file, with frames and what it made of them"
    folders,far = sorted((Path(__file__).parents[2]/'nbs'/'checkpoints').iterdir()),[]
    for folder in folders:
        kept, _ = load_tensors(folder / 'forecast.safetensors')
        far.append(
            (load_model(folder).predict(kept['known'], 3) - kept['forecast']) .abs()
            .max() .item())
    yield dict(
        what=f"models saved in {', '.join(f.name for f in folders)}",
        wanted='each loads and forecasts as it did, within 1e-5',
        got=f"{len(folders)} loaded, within {max(far):.0e}", passed=max(far) <= 1e-5)

def rows():
    torch.set_num_threads(1) # threads do not outlive a fork
    sys.stdout.flush()
    for part in (kills, every_step, pairs, refused_saves, damage, every_format):
        yield from part()
