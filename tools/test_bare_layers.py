"""The layers need torch and fastcore alone, and are the LSTM of torch on images of one
pixel."""
import sys
import warnings
from bare import only

only('torch', 'fastcore', 'optree') # which torch uses where it finds it
assert not sys.modules.get('fastai') and not sys.modules.get('numpy')
warnings.filterwarnings('ignore', 'Failed to initialize NumPy')

import torch
from torch import nn
import convlstm_nb
from convlstm_nb import ConvLSTM

torch.manual_seed(0)

# Shapes, and a gradient for every parameter
x = torch.randn(2,5,3,8,9, requires_grad=True)
layers = ConvLSTM(3, [6,4], kernel_size=[5,3], num_layers=2)
out,state = layers(x)
assert out.shape==(2,5,4,8,9), out.shape
assert [(tuple(h.shape), tuple(c.shape)) for h, c in state] == [
    ((2, 6, 8, 9),) * 2, ((2, 4, 8, 9),) * 2]
(out**2).mean().backward()
without = [n for n,p in layers.named_parameters() if p.grad is None or not p.grad.any()]
assert not without and x.grad.any(), f'no gradient reaches {without}'

# Weight by weight, `nn.LSTM`: only the middle of a kernel sees anything of a single
# pixel
ref  = nn.LSTM(3, 5, num_layers=2, batch_first=True)
conv = ConvLSTM(3, 5, kernel_size=3, num_layers=2, peephole=None)
with torch.no_grad():
    for l,cell in enumerate(conv.cells):
        for name in ('weight_ih', 'weight_hh'):
            getattr(cell, name)[..., 1, 1] = getattr(ref, f'{name}_l{l}')
        cell.bias.copy_(getattr(ref, f'bias_ih_l{l}') + getattr(ref, f'bias_hh_l{l}'))
x = torch.randn(2,7,3)
(out,state),(ref_out,(h,c)) = conv(x[...,None,None]), ref(x)
torch.testing.assert_close(out[...,0,0], ref_out, atol=2e-6, rtol=0)
for l,(hl,cl) in enumerate(state):
    torch.testing.assert_close(hl[...,0,0], h[l], atol=2e-6, rtol=0)
    torch.testing.assert_close(cl[...,0,0], c[l], atol=2e-6, rtol=0)

print(f'{convlstm_nb.__path__[0]}: the layers work with torch {torch.__version__} alone')
