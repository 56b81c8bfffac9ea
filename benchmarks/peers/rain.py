"""Radar: the tiles and the split of `benchmarks/rain.py`, turned and mirrored at
random; each network forecasts the change from the last frame"""
import os
from compare import NETWORKS, cost, train
from convlstm_nb.file_data import FileData
from convlstm_nb.losses import FrameMSE
from convlstm_nb.scoring import score_windows

DATA = dict(
    variables='rain', axes='BTHW', by='lon', train_until='-84', test_from='-82.7',
    test_stride=16, units='mm/h', scaling='log', top=100., thresholds=[.5, 2., 5.])
SHARED = dict(data=DATA, bs=16, epochs=3, augment=True)
# of 3e-3 and 1e-2, the one with the lower validation loss of seed 0
RATES  = {'convlstm-linear': 1e-2, 'convgru': 1e-2, 'simvp': 1e-2}
SCORES = ['mse_scaled','csi_0.5','csi_2','csi_5']

ROWS = {
    name: (SHARED | dict(network=network, lr=RATES.get(name, 3e-3)), 3)
    for name,network in NETWORKS.items()}
# in coordinates that move with the rain, as the preset `rain` has them
ROWS['unet-moving'] = (ROWS['unet'][0] | dict(moving=True), 3)

def windows():
    "The parts of the file that `CONVLSTM_NB_MRMS` names"
    data = DATA | dict(path=os.environ['CONVLSTM_NB_MRMS'])
    return FileData.of(data).windows()

def mean(values): return round(sum(values)/len(values), 6)

def measure(s, seed):
    "One run"
    name = next(n for n,network in NETWORKS.items() if network == s['network'])
    ds   = windows()
    model,seconds,history = train(
        name, ds, s, seed, FrameMSE(), output='identity', residual=True)
    scores = score_windows(model, ds['test'], thresholds=DATA['thresholds'])
    kept = {
        forecast: {k: mean(v[k]) for k in SCORES} | dict(by_lead=v['mse_scaled'])
        for forecast,v in scores.items()}
    mse = {k: v['mse_scaled'] for k,v in kept.items()}
    return dict(
        train_seconds=seconds, **cost(model, (10,1,64,64), 10), history=history,
        metrics=kept,
        under_persistence=round(100*(1 - mse['model']/mse['persistence']), 2)),None

def headline(found):
    return f"{found['under_persistence']} % under persistence"
