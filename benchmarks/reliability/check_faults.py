"What happens to a training when something goes wrong around it?"
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from check_resume import night, resume, same, train
from convlstm_nb.resume import read_training

def stopped_by(name, code):
    """A signal in batch 6: a checkpoint of that batch, the exit code, under five
    seconds, and a resume that ends as if nothing had been"""
    with tempfile.TemporaryDirectory() as d:
        runs = Path(d) / 'runs'
        train(d, 'whole', 0)
        r = train(d, 'cut', 0, SIGNAL=f'{name},6')
        kept = read_training(runs / 'cut' / 'training.safetensors')
        seconds = took(d, name)
        resume(d, 'cut')
        equal = same(runs / 'whole', runs / 'cut')
        return dict(
            what=f'SIG{name} in batch 6',
            wanted=f'exit {code} in under 5 s, a checkpoint after 6 batches, a resume '
            'that is exact',
            got=f"exit {r.returncode} in {seconds:.1f} s, a checkpoint after "
            f"{4 * kept['epoch'] + kept['batch']}, "
            f"{'exact' if equal else 'not exact'}", passed=r.returncode == code
            and seconds < 5 and (kept['epoch'], kept['batch']) == (1, 2) and equal)

def took(d, name):
    "Seconds from a signal to the end of the process that trains, measured from outside"
    env = os.environ | dict(OMP_NUM_THREADS='1', IN_TEST='1', MPLBACKEND='agg')
    p = subprocess.Popen(
        [
            sys.executable, Path(__file__).with_name('night.py'), '--preset', 'night',
            '--name', f'time-{name}', '--device', 'cpu', '--epochs', '500'],
        cwd=d,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True)
    for line in p.stdout:
        if line.startswith('2 '): break # the third epoch has ended
    begun = time.time()
    p.send_signal(getattr(signal, f'SIG{name}'))
    p.stdout.read()
    p.wait(60)
    return time.time()-begun

def killed_worker():
    with tempfile.TemporaryDirectory() as d:
        r, ended = train(d, 'worker', 2, WORKER=6), time.time()
        seconds, last = (
            ended - float(re.search(r'killed (\S+)', r.stdout)[1]),
            r.stderr.strip().split('\n')[-1])
        clear = (
            r.returncode == 2 and 'DataLoader worker' in last
            and 'Traceback' not in r.stderr)
        resumed = resume(d, 'worker')
        return dict(
            what='kill -9 of a worker process in batch 6',
            wanted='one line that says so within 30 s, exit 2, and a resume',
            got=f"exit {r.returncode} {seconds:.1f} s after it: {last[:90]!r}; resume: "
            f"exit {resumed.returncode}",
            passed=clear and seconds < 30 and resumed.returncode == 0)

def other_training():
    "Resume as another training: each option is refused, and named"
    with tempfile.TemporaryDirectory() as d:
        train(d, 'run', 0, KILL=6, MINUTES=0)
        told = {}
        for option, value, says in (
            ('--epochs', 5, 'epochs was 4, is 5'),
            ('--lr', 0.02, 'schedule.lr was'),
            ('--bs', 8, 'data.train.bs was 4, is 8'),
            ('--seed', 1, 'config.seed was 0, is 1'),
            ('--num_workers', 2, 'data.train.workers was 0, is 2'),
            (
                '--preset', 'quick',
                'config.model.args.hidden_channels was [4, 4], is [32]')):
            r = night(d, '--resume', 'run', '--device', 'cpu', option, value)
            told[option] = r.returncode == 2 and says in r.stderr
        for what, value, says in (
            ('OPTIMIZER', 'rmsprop', 'config.train.optimizer was adam, is rmsprop'),
            ('SEQUENCES', 20, 'config.data.train was 16, is 20'),
        ):  # no options of the command
            r = night(
                d, '--resume', 'run', '--device', 'cpu', '--preset', 'night',
                **{what: value})
            told[f'--{what.lower()}'] = r.returncode == 2 and says in r.stderr
        again = resume(d, 'run')
        return dict(
            what='--resume with another ' + ', '.join(o[2:] for o in told),
            wanted=f'refused, the difference shown, {len(told)} of {len(told)}; the '
            'run still resumes', got=f"{sum(told.values())} of "
            f"{len(told)}{''.join(' not ' + o for o, ok in told.items() if not ok)}; "
            f"resume: exit {again.returncode}",
            passed=all(told.values()) and again.returncode == 0)

def same_seed():
    "Twice the same seed, for each number of workers"
    with tempfile.TemporaryDirectory() as d:
        runs,good = Path(d)/'runs',[]
        for workers in (0,2,4):
            for name in 'ab': train(d, f'{name}{workers}', workers)
            good.append(same(runs/f'a{workers}', runs/f'b{workers}'))
        return dict(
            what='the same seed twice, with 0, 2 and 4 workers',
            wanted='weights equal bit for bit, 3 of 3', got=f'{sum(good)} of 3',
            passed=all(good))

AUGMENT = '''
import numpy as np, random, torch
from convlstm_nb.dataloaders import sequence_dls
class Chance:
    def __len__(self): return 16
    def __getitem__(self, i):
        x = torch.tensor([random.random(), np.random.rand(), torch.rand(1).item()]).view(3,1,1,1)
        return x,x
for epoch in range(2):
    dls = sequence_dls(Chance(), Chance(), bs=2, num_workers=4, device='cpu')
    print([x.flatten().tolist() for x,_ in dls.valid])
'''
def workers_differ():
    """What is drawn at random in worker processes: never the same number twice, in
    an epoch or in the next"""
    r = subprocess.run(
        [sys.executable, '-c', AUGMENT], capture_output=True, text=True, timeout=900)
    drawn = [
        v for line in r.stdout.splitlines() for batch in json.loads(line) for v in batch
    ]
    return dict(
        what='random numbers drawn in 4 worker processes, 3 generators, 2 epochs',
        wanted='96 different ones', got=f'{len(set(drawn))} of {len(drawn)}',
        passed=len(drawn) == 96 == len(set(drawn)))

NAN = '''
import copy, json, random, sys, warnings
import numpy as np, torch
from fastai.callback.core import Callback
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.learner import convlstm_learner
where,value = int(sys.argv[1]),float(sys.argv[2])
torch.manual_seed(0); random.seed(0)
pairs = [(torch.rand(3,1,16,16), torch.rand(3,1,16,16)) for _ in range(24)]
pairs[17][where][1,0,5,5] = value
class Watch(Callback):
    order = 90
    def before_fit(self): self.same,self.last = [],None
    def state(self): return copy.deepcopy([self.model.state_dict(), self.opt.state_dict()['state']])
    def before_train(self): self.last = self.state()
    def after_batch(self):
        if not self.training: return
        now = self.state()
        flat = lambda s: [*s[0].values(), *(torch.as_tensor(v) for p in s[1] for v in p.values())]
        a,b = flat(self.last),flat(now)
        self.same.append(len(a)==len(b) and all(map(torch.equal, a, b))); self.last = now
watch = Watch()
dls = sequence_dls(pairs, pairs[:8], bs=4, num_workers=int(sys.argv[3]), device='cpu')
learn = convlstm_learner(dls, hidden_channels=4, kernel_size=3, patch_size=2, cbs=[watch])
with warnings.catch_warnings(record=True) as said, learn.no_bar(), learn.no_logging():
    warnings.simplefilter('always', UserWarning)
    learn.fit(2, 1e-2)
print(json.dumps(dict(said=[str(w.message) for w in said if w.category is UserWarning], same=watch.same, finite=all(bool(p.isfinite().all()) for p in learn.model.parameters()))))
'''
def bad_samples():
    good,tried = 0,[(0,'nan',0), (0,'inf',0), (0,'-inf',2), (1,'inf',0)]
    for where,value,workers in tried:
        r = subprocess.run(
            [sys.executable, '-c', NAN, str(where), value, str(workers)],
            capture_output=True, text=True, timeout=900)
        if r.returncode: print(r.stderr[-500:], file=sys.stderr); continue
        o = json.loads(r.stdout)
        named = len(o['said']) == 2 and all(
            m.endswith('in sequence 17') for m in o['said'])
        good += named and sum(o['same'])==2 and len(o['same'])==12 and o['finite']
    return dict(
        what='a NaN, inf or -inf in one pixel of sequence 17 of 24, known or to '
        'forecast',
        wanted='named in each epoch, weights and optimizer untouched by its batch, '
        f'one step lost, {len(tried)} of {len(tried)}', got=f'{good} of {len(tried)}',
        passed=good == len(tried))

BROKEN = '''
import sys, torch
from fastai.callback.core import Callback
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.learner import convlstm_learner
from convlstm_nb.models.forecaster import EncoderForecaster
class Break(Callback):
    def __init__(self, error, where): self.error,self.where = error,where
    def after_pred(self):
        if self.iter==1 and self.training==(self.where=='train'): raise self.error
pairs = [(torch.rand(3,1,16,16), torch.rand(3,1,16,16)) for _ in range(12)]
good = 0
for error in (ValueError('broken'), KeyboardInterrupt(), SystemExit(3), MemoryError('none left')):
    for where in ('train','valid'):
        model = EncoderForecaster(1, 4, 3, patch_size=2)
        model.encoder.stateful = True
        learn = convlstm_learner(sequence_dls(pairs, pairs, bs=4, device='cpu'), model)
        logger = learn.logger
        try:
            with learn.no_bar(): learn.fit(1, cbs=Break(error, where))
        except BaseException as e: good += type(e) is type(error) and model.encoder.carried.value is None and learn.logger is logger and len(learn.forecast(pairs[0][0], 2))==2
print(good)
'''
def broken_epochs():
    r = subprocess.run(
        [sys.executable, '-c', BROKEN], capture_output=True, text=True, timeout=900)
    got = r.stdout.strip().split('\n')[-1]
    return dict(
        what='an error, Ctrl-C, SystemExit or a lack of memory in training or '
        'validation', wanted='no state carried out of it, 8 of 8', got=f'{got} of 8',
        passed=got == '8')

def rows():
    # a shell has what it runs in the background ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield bad_samples()
    yield stopped_by('INT', 130)
    yield stopped_by('TERM', 143)
    yield killed_worker()
    yield other_training()
    yield same_seed()
    yield workers_differ()
    yield broken_epochs()
