"Moving digits: the sequences of the preset `quick`"
from compare import NETWORKS, cost, train
from convlstm_nb.losses import FrameBCE
from convlstm_nb.metrics import skill
from convlstm_nb.options import DigitsData
from convlstm_nb.probabilistic import make_experiment

MOTION = dict(size=32, digit_size=18, n_digits=1, context=5, horizon=5, speed=(1, 2))
DATA   = dict(motion=MOTION, train=2400, valid=200, test=500, fresh=True)
SHARED = dict(data=DATA, bs=16, epochs=8, precision='bf16')
# of 3e-3 and 1e-2, the one with the lower validation loss of seed 0
RATES  = {'unet': 3e-3, 'simvp': 3e-3}

ROWS = {
    name: (SHARED | dict(network=network, lr=RATES.get(name, 1e-2)), 3)
    for name,network in NETWORKS.items()}

def measure(s, seed):
    "One run"
    name = next(n for n,network in NETWORKS.items() if network == s['network'])
    ds   = DigitsData.of(s['data']).datasets(seed)
    model,seconds,history = train(name, ds, s, seed, FrameBCE())
    scores = make_experiment(dict(data=s['data'], seed=seed)).score(model)
    return dict(
        train_seconds=seconds, **cost(model, (5,1,32,32), 5), history=history,
        metrics=scores, skill_percent=round(skill(scores), 2)),None

def headline(found): return f"{found['skill_percent']} % under the best baseline"
