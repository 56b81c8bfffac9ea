"""Keep a small model of this version in `nbs/checkpoints`, for the test that every
version's models still load. Run it once, before a release."""
import sys
from pathlib import Path
import torch
from convlstm_nb import __version__
from convlstm_nb.checkpoint import build_model, save_model, save_tensors

folder = Path(__file__).parent.parent/'nbs'/'checkpoints'/__version__
if folder.exists():
    sys.exit(f'{folder} is there already, and what was released stays as it was')
spec = {
    'class': 'EncoderForecaster',
    'args': dict(
        in_channels=1, hidden_channels=[6, 4], kernel_size=[(3, 5), 3], patch_size=2,
        norm='layer', peephole='channel')}
torch.manual_seed(0)
model = build_model(spec)
with torch.no_grad():
    # peepholes and biases begin at zero: a model that has learned has others
    for p in model.parameters(): p += torch.randn_like(p)/10
known = torch.rand(2,4,1,8,8)
save_model(folder, model, spec)
save_tensors(
    folder / 'forecast.safetensors',
    dict(known=known, forecast=model.eval().predict(known, 3)))
print(f'kept {folder}: add it to git')
