"""What comes with the plain install is enough for the commands, NetCDF and the shipped
model, and what needs an extra says in one line what to type."""
import os
import sys
import tempfile
import warnings
from configparser import ConfigParser
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from bare import only

settings = ConfigParser(delimiters='=')
settings.read(Path(__file__).parent.parent/'settings.ini', encoding='utf-8')
names = settings['DEFAULT']['requirements'].split()
only(*(n.partition('>')[0] for n in names), 'optree') # which torch uses where it finds it
assert not sys.modules.get('zarr') and not sys.modules.get('onnx')
warnings.simplefilter('ignore')

import numpy as np
import torch
import xarray as xr
import convlstm_nb
from convlstm_nb.cli import convlstm_evaluate, convlstm_predict, convlstm_train

def run(f, *args, **kwargs):
    "What is printed, and what is said of an error"
    with redirect_stdout(out := StringIO()), redirect_stderr(err := StringIO()):
        try: f(*args, **kwargs)
        except SystemExit: pass
        except ImportError as e: return '', f'{e}\n'
    return out.getvalue(), err.getvalue()

def check():
    wave = np.arange(60)[:,None,None] + np.arange(8)[:,None] + np.arange(9)
    hours = np.datetime64('2024-06-01', 'ns') + np.arange(60)*np.timedelta64(1, 'h')
    sst = xr.Dataset({'sst': (('time','lat','lon'), np.sin(wave/3))}, {'time': hours})
    sst.to_netcdf('sst.nc', engine='h5netcdf')
    small = dict(context=3, horizon=2, epochs=1, bs=8, hidden='4', device='cpu')
    scores, error = run(convlstm_train, data='sst.nc', name='sst', **small)
    assert 'persistence' in scores, error
    _, error = run(convlstm_predict, 'runs/sst', data='sst.nc', out='a.nc')
    assert not error and xr.open_dataset('a.nc').sizes['time'] == 2, error
    scores, error = run(convlstm_evaluate, 'runs/sst')
    assert 'persistence' in scores, error

    model = convlstm_nb.shipped_model()
    assert model.predict(torch.zeros(1,5,1,48,48), 3).shape == (1,3,1,48,48)

    Path('sst.zarr').mkdir()
    Path('sst.zarr/zarr.json').write_text('{}')
    for extra, (_, error) in dict(
        geo=run(convlstm_train, data='sst.zarr'),
        onnx=run(convlstm_nb.export_model, 'model.onnx', model),
        tensorboard=run(convlstm_train, data='sst.nc', tensorboard=True, **small),
    ).items():
        want = f"pip install 'convlstm_nb[{extra}]'"
        assert want in error and error.count('\n') == 1, (extra, error)

with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    check()
    os.chdir('/')
print(f'{convlstm_nb.__path__[0]}: the commands work with the plain install')
