"""Put a run of the preset `digits` into the package, measure it, write its card, and
draw the animation of the start page."""
import shutil
from functools import partial
from pathlib import Path
import torch
from common import describe, keep
from fastcore.script import call_parse
from quick import network_reader, reader, recognised
from torch.utils.data import DataLoader
from convlstm_nb.checkpoint import CONFIG, load_config, load_model
from convlstm_nb.data.moving_mnist import MovingMNIST
from convlstm_nb.learner import forecast
from convlstm_nb.metrics import (
    SCORES,
    best_trivial,
    image_scores,
    score_forecasts,
    skill,
    trivial_forecasts,
)
from convlstm_nb.plotting import animate_forecast
from convlstm_nb.pretrained import SHIPPED

images = Path(__file__).parent.parent/'nbs'/'images'
SHOWN  = {n: SCORES[n] for n in ('mse','bce')} | image_scores(1.)
PICTURE = (3,4,5) # Test sequences of the animation, in which digits cross
FIRST  = 50 # Sequences of the page's test
OTHER = {
    'one digit': dict(n_digits=1),
    'three digits': dict(n_digits=3),
    'slower, up to 1 pixel a frame': dict(speed=(0, 1)),
    'faster, 3 to 5 pixels a frame': dict(speed=(3, 5)),
    'digits of 14 pixels': dict(digit_size=14),
    'digits of 28 pixels': dict(digit_size=28),
    'canvas 32×32': dict(size=32),
    'canvas 64×64': dict(size=64),
    'canvas 64×64, digits of 28, speed 3 to 5, as in the paper': dict(
        size=64, digit_size=28, speed=(3, 5)),
    '5 known frames': dict(context=5),
    '20 frames ahead': dict(horizon=20)}

def measure(model, motion, n, **changed):
    "Scores of the model and the trivial forecasts, on `n` test sequences"
    motion = motion | changed
    train  = MovingMNIST('train', length=200, **motion) # for the mean image
    fns    = dict(model=partial(forecast, model), **trivial_forecasts(DataLoader(train, batch_size=50)))
    test   = DataLoader(MovingMNIST('test', length=n, **motion), batch_size=50)
    return score_forecasts(fns, test, SHOWN)

def mean(values): return sum(values)/len(values)
def table(head, rows):
    return '\n'.join(
        '| ' + ' | '.join(map(str, r)) + ' |'
        for r in [head, ['---'] * len(head), *rows])

def scores_table(scores, score, digits):
    "One score of all forecasts, at some lead times"
    n = len(scores['model'][score])
    leads = [t for t in (1,2,3,5,7,10) if t<=n]
    return table(
        ['forecast', 'mean', *(f'+{t}' for t in leads)],
        [
            [
                name,
                *(
                    f"{v:.{digits}f}"
                    for v in [mean(s[score]), *(s[score][t - 1] for t in leads)])]
            for name, s in scores.items()])

def readings(found):
    "Shares of digits that are recognised, at some lead times"
    leads = (1,2,3,5,6,7,10)
    return table(
        ['frames', *(f'+{t}' for t in leads)],
        [
            [f"{name}, {by}", *(f"{100*f[k][t-1]:.0f} %" for t in leads)]
            for by,f in found.items()
            for name,k in (('forecast','forecast'), ('true frames','truth'))])

def others_table(found):
    "Where the model was not trained"
    def row(name, s):
        best = best_trivial(s)
        return [
            name, f"{mean(s['model']['mse']):.1f}",
            f"{mean(s[best]['mse']):.1f} ({best})", f"{skill(s):.0f} %",
            f"{s['model']['ssim_1'][0]:.2f}", f"{s['model']['ssim_1'][-1]:.2f}"]
    return table(
        [
            'test sequences', 'squared error per frame', 'best trivial', 'below it',
            'SSIM, first frame', 'SSIM, last frame'],
        [row(n, s) for n, s in found.items()])

def card(config, model, weights, found):
    "The model card"
    m, args, train, now = (
        config['data']['motion'], config['model']['args'], config['train'],
        found['describe'])
    parameters = sum(p.numel() for p in model.parameters())
    return f"""# A ConvLSTM of two moving digits

`{config['model']['class']}`, the encoding–forecasting network of [Shi et al. 2015](https://arxiv.org/abs/1506.04214): hidden channels {args['hidden_channels']}, kernels of {args['kernel_size']}×{args['kernel_size']}, patches of {args['patch_size']}×{args['patch_size']} pixels, layer norm, a read-out of two convolutions; {parameters:,} parameters, {weights / 1e6:.2f} MB. It reads {m['context']} frames of {m['size']}×{m['size']} pixels with values from 0 to 1, and forecasts {m['horizon']}. It is for trying the library and for looking into a trained model, and for nothing that matters.

## Training

`convlstm_train --preset digits --bf16`, seed {config['seed']}: {train['epochs']} epochs of {config['data']['train']:,} sequences, new ones in each epoch, in batches of {train['bs']}; cross-entropy, Adam, one cycle up to a learning rate of {train['lr']:g}, mixed precision; {config['seconds'] / 60:.0f} minutes on one core of a busy machine ({now['machine']['cpu']}, torch {config['torch']}). Of the epochs' weights, those with the best validation loss ({config['data']['valid']} sequences). The size of the network was picked before from three trials of a tenth of that length, with other speeds and ten known frames, whose scores were close together.

## Data and licence

Sequences of [Moving MNIST](https://arxiv.org/abs/1502.04681) that the library makes: {m['n_digits']} digits of {m['digit_size']}×{m['digit_size']} pixels, speeds of {m['speed'][0]:g} to {m['speed'][1]:g} pixels a frame, bouncing off the edges. The digits are the 2,000 / 500 / 500 for training, validation and test in this package, a part of the MNIST database of handwritten digits by Yann LeCun and Corinna Cortes, under [CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/). No digit is in two of the three parts.

The weights hold no image, but they were made from images under that licence, which asks for attribution, and that what is adapted from them be shared alike. Whether trained weights are such an adaptation is an open question. So that nobody needs to answer it, the weights come under CC BY-SA 3.0 too, with this attribution; keep this file beside them when you pass them on. The code is under the Apache License 2.0, which does not apply to the weights. This is what we do, and no legal advice.

## How good it is

On {found['n']} test sequences, by which nothing was chosen in this training, by lead time. Squared error and binary cross-entropy are summed over the {m['size']}² pixels of a frame and averaged over sequences; values are from 0 to 1. *Mean* is the mean image of training sequences, *persistence* the last known frame.

Squared error per frame, lower is better:

{scores_table(found['scores'], 'mse', 1)}

Binary cross-entropy per frame, lower is better:

{scores_table(found['scores'], 'bce', 0)}

SSIM (data range 1, Gaussian window of 11), higher is better; a black frame has much of it for nothing:

{scores_table(found['scores'], 'ssim_1', 3)}

Digits that a classifier, trained on the true training digits, recognises in the frames; by chance it is one of ten. The first is a small convolutional network, the second takes the nearest neighbours:

{readings(found['recognised'])}

## Where it fails

The same on {found['n_other']} test sequences each, made otherwise than those of its training. Other canvases and speeds run without a warning, since nothing in the network forbids them; that is no reason to trust the forecast:

{others_table(found['other'])}

It was trained by one seed. It has seen no colours, no noise, no shapes but digits, and no motion but straight lines at an even speed between four walls.
"""

@call_parse
def main(
    run:str, # Folder of the run
    n:int=500, # Test sequences
    n_other:int=100, # Test sequences of each other kind
):
    "Put a run into the package, and measure it"
    run = Path(run)
    model,config = load_model(run),load_config(run)
    motion = config['data']['motion']
    found = dict(
        n=n,
        n_other=n_other,
        first=FIRST,
        recognised={
            k: recognised(run, make=f)
            for k,f in {'network': network_reader, 'neighbours': reader}.items()},
        scores=measure(model, motion, n),
        first_scores=measure(model, motion, FIRST)['model'],
        other={
            'as trained': measure(model, motion, n_other),
            **{k: measure(model, motion, n_other, **v) for k, v in OTHER.items()}})
    SHIPPED.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, 'model.safetensors', 'history.csv', 'metrics.json'):
        shutil.copyfile(run / name, SHIPPED / name)
    text = card(
        config, model, (run / 'model.safetensors').stat().st_size, found | dict(describe=describe())
    )
    (SHIPPED/'README.md').write_text(text, encoding='utf-8')
    x, y = (
        torch.stack(t)
        for t in zip(*(MovingMNIST('test', **motion)[i] for i in PICTURE)))
    animate_forecast(x, y, forecast(model, x, y.shape[1]), path=images/'shipped.gif')
    keep('shipped', **found)
    print(text)
