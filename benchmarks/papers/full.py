"""Table 1 of Shi et al. 2015 at full size: `python benchmarks/papers full --minutes 8`
trains each row for so long, which takes a GPU. With `--session 4` it leaves after four
minutes, and the same command resumes it, on another machine too if `runs/full` is
carried there: no file in it is larger than 16 MiB.

The model is chosen on the validation sequences; the test sequences are read once, when
the training is over."""
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from convlstm_nb.checks import atomic_path
from convlstm_nb.metrics import skill
from convlstm_nb.models.papers import PAPERS
from convlstm_nb.options import TrainOptions
from convlstm_nb.presets import PRESETS
from convlstm_nb.runs import train_run

folder = Path('runs/full')
SIZE   = 15*2**20 # Bytes of a part
# Mixed precision, Adam and one cycle in place of RMSProp and 200 epochs
TRAIN  = dict(bs=64, lr=2e-3, schedule='one_cycle', optimizer='adam', precision='bf16')
NAMES  = [n for n in PAPERS if n.startswith('shi2015') and n in PRESETS]
ROWS   = {
    n.removeprefix('shi2015-'): (dict(preset=n, train=TRAIN), 1)
    for n in ('shi2015-3layer', *sorted(set(NAMES) - {'shi2015-3layer'}))}
# With the scheduled sampling of its protocol
OPENSTL = PRESETS['openstl-convlstm'].train
ROWS['openstl'] = dict(
    preset='openstl-convlstm',
    train=TRAIN | {k: getattr(OPENSTL, k) for k in ('bs', 'lr', 'sampling')}), 1

def split(path):
    "Cut a large file into parts that can be carried"
    if not path.exists() or path.stat().st_size <= SIZE: return
    with path.open('rb') as f:
        for i,part in enumerate(iter(lambda: f.read(SIZE), b'')):
            with atomic_path(f'{path}.part{i:03}') as p: p.write_bytes(part)
    path.unlink()

def join(path):
    "Put the parts together again"
    parts = sorted(path.parent.glob(f'{path.name}.part*'))
    if not parts: return
    with atomic_path(path) as p, open(p, 'wb') as f:
        for part in parts: f.write(part.read_bytes())
    for part in parts: part.unlink()

def large(run): # the model and the training, by their names without a part's number
    return {run/p.name.split('.part')[0] for p in run.glob('*.safetensors*')}

def start(preset, train, run, seed, minutes, sequences):
    "Train from where it was left"
    found = PRESETS[preset]
    data  = found.data if sequences is None else found.data.changed(
        train=sequences, valid=sequences, test=sequences)
    train_run(
        replace(found, data=data, train=TrainOptions(**train, minutes=minutes)), run,
        seed=seed, resume=True)

def measure(s, seed, minutes, session=None, sequences=None):
    "Train one row, or a part of it, and read what the run has kept"
    run = folder/f"{s['preset']}_seed{seed}{f'_of_{sequences}' if sequences else ''}"
    run.mkdir(parents=True, exist_ok=True)
    for path in large(run): join(path)
    args = s['preset'], s['train'], str(run), seed, minutes, sequences
    code = (
        f"import sys; sys.path[:0] = {sys.path[:2]}\n"
        f"import full; full.start(*{args})")
    with subprocess.Popen([sys.executable, '-c', code]) as training:
        try: code = training.wait(session and 60*session)
        except subprocess.TimeoutExpired:
            training.terminate()
            training.wait()
            code = None
    for path in large(run): split(path)
    if code is None: sys.exit(f'not over yet: the same command resumes {run}')
    if code: sys.exit(code)
    config, scores = (
        json.loads((run / f'{n}.json').read_text()) for n in ('config', 'metrics'))
    epochs = config['train']['epochs']
    return dict(
        minutes=minutes, epochs=epochs, train_seconds=config['seconds'],
        sequences_per_second=round(epochs*config['data']['train']/config['seconds'], 1),
        device=config['device'], cross_entropy=sum(scores['model']['bce']),
        mse=sum(scores['model']['mse'])/len(scores['model']['mse']),
        skill_percent=round(skill(scores), 2), metrics=scores), {}

def headline(found):
    return (
        f"{found['cross_entropy']:.1f} nats per sequence, MSE {found['mse']:.1f} after "
        f"{found['epochs']} epochs, {found['sequences_per_second']} sequences a second")
