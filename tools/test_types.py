"""The type hints are true: mypy finds no error in the package, accepts a script that
uses it rightly, and notices each wrong argument of another."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

root = Path(__file__).parent.parent
mypy = [sys.executable, '-m', 'mypy'] if find_spec('mypy') else [shutil.which('mypy')]
if mypy == [None]:
    print("skipped: mypy is not installed (`pip install -e '.[dev]'`)")
    sys.exit()

RIGHT = '''
import torch
from convlstm_nb import (
    ConvLSTM, EncoderForecaster, MovingMNIST, Windows, convlstm_learner, open_records,
    paper_model, sequence_dls)
from convlstm_nb.data.covariates import fit_covariates
from convlstm_nb.data.scaling import fit_scaling
from convlstm_nb.learner import forecast

layer = ConvLSTM(1, [16,8], kernel_size=(3,5), peephole=None, checkpoint_every=None)
h,state = layer(torch.rand(2,5,1,16,16))
model = EncoderForecaster(1, 16, 3, out_channels=None, residual=True, output='identity')
frames: torch.Tensor = model.predict(torch.rand(2,5,1,16,16), horizon=3)
y,state = model.advance(torch.rand(2,5,1,16,16), horizon=3)
paper_model('shi2015-3layer', device='meta')
digits = MovingMNIST('valid', length=8, pool=None, speed=(2,4))
dls = sequence_dls(MovingMNIST(length=64), digits, bs=16)
records = open_records('rain.nc', 'rain', axes=None, scale=None, select={'level':500})
scaling = fit_scaling('log', records, top=None)
windows = Windows(
    records, 5, 3, crop=None, scaling=scaling, max_missing=None,
    covariates=fit_covariates(records))
known,following = windows[0]
learn = convlstm_learner(dls, model, metrics=None, cbs=None, learner_kwargs=None)
learn.fit_one_cycle(1, 1e-3)
ahead: torch.Tensor = learn.forecast(known, horizon=3)
ahead = forecast(model, known, horizon=3)
'''
WRONG = '''
import torch
from convlstm_nb import (
    ConvLSTM, EncoderForecaster, MovingMNIST, Windows, convlstm_learner, open_records,
    sequence_dls)
from convlstm_nb.learner import forecast

ConvLSTM('1', 16) # wrong
ConvLSTM(1, 16, num_layers='two') # wrong
EncoderForecaster('1', 16) # wrong
EncoderForecaster(1, 16, patch_size=None) # wrong
MovingMNIST(5) # wrong
MovingMNIST(frames=10) # wrong
open_records('rain.nc', join='no') # wrong
Windows([], '5', 3) # wrong
Windows([], 5, 3, crop=64) # wrong
sequence_dls([], [], bs='16') # wrong
convlstm_learner(None, clip='1') # wrong
forecast(None, torch.rand(5,1,16,16), horizon='3') # wrong
'''
# what a user's mypy reads: no settings but that untyped packages are passed over
PLAIN = ['--config-file=', '--follow-imports=silent', '--ignore-missing-imports']

def errors(*args):
    "The lines of mypy that tell of an error"
    run = subprocess.run(
        [*mypy, '--python-executable', sys.executable, *args], cwd=root, text=True,
        capture_output=True, env=dict(os.environ, MYPYPATH=str(root)))
    if run.returncode not in (0, 1): raise SystemExit(run.stdout + run.stderr)
    return [l for l in run.stdout.splitlines() if ' error: ' in l]

found = errors('convlstm_nb')
assert not found, '\n'.join(found)
with tempfile.TemporaryDirectory() as d:
    right, wrong = Path(d)/'right.py', Path(d)/'wrong.py'
    right.write_text(RIGHT)
    wrong.write_text(WRONG)
    found = errors(*PLAIN, str(right))
    assert not found, '\n'.join(found)
    found = errors(*PLAIN, str(wrong))
lines = {int(re.search(r'\.py:(\d+):', l)[1]) for l in found}
expected = {n for n,l in enumerate(WRONG.splitlines(), 1) if l.endswith('# wrong')}
missed = [WRONG.splitlines()[n-1] for n in sorted(expected - lines)]
assert lines == expected, f"not noticed: {missed}; noticed: {found}"
print(f"no error in the package; {len(expected)} wrong calls are noticed")
