"Bad input: each must meet the right exception, which names the argument, what was wanted and what came; and good input beside it must pass."
import warnings
import numpy as np
import torch
from torch import nn
from convlstm_nb.cell import ConvLSTMCell
from convlstm_nb.convert import (
    from_keras,
    from_lstm,
    from_state_dict,
    to_keras,
    to_lstm,
)
from convlstm_nb.data.archive import ArchiveWindows
from convlstm_nb.data.open import open_records
from convlstm_nb.export import export_model
from convlstm_nb.layers import ConvLSTM
from convlstm_nb.models.forecaster import (
    EncoderForecaster,
    NextFrameForecaster,
    to_patches,
)
from convlstm_nb.models.heads import (
    SequenceToMap,
    SequenceToOne,
    pool_frames,
    pool_pixels,
)
from convlstm_nb.models.lagrangian import LagrangianForecaster
from convlstm_nb.models.periodic import PeriodicForecaster
from convlstm_nb.models.tiling import forecast_tiles
from convlstm_nb.streaming import StreamingForecast

nan,inf = float('nan'),float('inf')
x     = torch.rand(2,4,1,8,8)
state = [(torch.zeros(2,4,8,8), torch.zeros(2,4,8,8))]
layer,cell,own = ConvLSTM(1, 4),ConvLSTMCell(1, 4),ConvLSTM(0, 4)
model,nxt = EncoderForecaster(1, (4,), 3),NextFrameForecaster(1, (4,), 3)
stream = StreamingForecast(EncoderForecaster(1, (4,), 3))
fed = torch.ones(2,4, dtype=torch.bool) # what `nxt` takes as `feed` for a horizon of 2
conv = lambda *shape, **kw: {'conv.weight': torch.zeros(shape, **kw)}
def each(f): return [tuple(f(s) for s in pair) for pair in state]
def after(call, then, **options): # a stateful layer that has seen `x`
    m = ConvLSTM(1, 4, stateful=True, **options); call(m); return then(m)

BAD = {
'axes': [
    ('one sequence without its batch axis',     ValueError, 'x', 'shape (4, 1, 8, 8): for a batch of one, add', lambda: layer(x[0])),
    ('one frame for a sequence',                ValueError, 'x', 'shape (1, 8, 8)',              lambda: layer(x[0,0])),
    ('an axis too many',                        ValueError, 'x', 'shape (1, 2, 4, 1, 8, 8)',     lambda: layer(x[None])),
    ('three channels for one',                  ValueError, 'x', 'shape (2, 4, 3, 8, 8)',        lambda: layer(x.expand(-1,-1,3,-1,-1))),
    ('channels last',                           ValueError, 'x', 'channels come last here',      lambda: ConvLSTM(3, 4)(torch.rand(2,4,8,8,3))),
    ('time and channels swapped',               ValueError, 'x', 'time comes before channels',   lambda: layer(x.transpose(1,2))),
    ('batch and time swapped, where a state says so', ValueError, 'state[0]', 'h of shape (2, 4, 8, 8)', lambda: layer(x.transpose(0,1), state)),
    ('batch and time swapped, where `steps` say so',  ValueError, 'steps', '4',                  lambda: layer(x.transpose(0,1), steps=4)),
    ('batch and time swapped, where `lengths` say so',ValueError, 'lengths', 'shape (2,)',       lambda: layer(x.transpose(0,1), lengths=[4,2])),
    ('height and width swapped, with full peepholes', ValueError, 'x', '(6, 8)',                 lambda: ConvLSTM(1, 4, peephole='full', spatial_size=(8,6))(x[...,:6].transpose(-1,-2))),
    ('no frames',                               ValueError, 'x', 'shape (2, 0, 1, 8, 8)',        lambda: layer(x[:,:0])),
    ('frames without pixels',                   ValueError, 'x', 'shape (2, 4, 1, 8, 0)',        lambda: layer(x[...,:0])),
    ('a sequence for a cell',                   ValueError, 'x', 'shape (2, 4, 1, 8, 8)',        lambda: cell(x)),
    ('a sequence for `unroll`',                 ValueError, 'x', 'shape (2, 4, 1, 8, 8)',        lambda: layer.unroll(x, 3)),
    ('a frame smaller than its reflection',     ValueError, 'x', '(8, 2)',                       lambda: ConvLSTM(1, 4, 5, padding_mode='reflect')(x[...,:2])),
], 'dtype, device, layout': [
    ('bytes',                                   TypeError,  'x', 'torch.uint8: scale and convert', lambda: layer((x*255).byte())),
    ('bools',                                   TypeError,  'x', 'torch.bool',                   lambda: layer(x>.5)),
    ('complex numbers',                         TypeError,  'x', 'torch.complex64',              lambda: layer(x.to(torch.complex64))),
    ('float64 for float32',                     TypeError,  'x', 'torch.float64',                lambda: layer(x.double())),
    ('float16 for float32',                     TypeError,  'x', 'torch.float16',                lambda: layer(x.half())),
    ('float64 under autocast, which leaves it', TypeError,  'x', 'torch.float64',                lambda: autocast(lambda: layer(x.double()))),
    ('a NumPy array',                           TypeError,  'x', 'ndarray',                      lambda: layer(x.numpy())),
    ('a list',                                  TypeError,  'x', 'list',                         lambda: layer(x.tolist())),
    ('nothing',                                 ValueError, 'x', 'None',                         lambda: layer(None)),
    ('another device',                          ValueError, 'x', 'meta: move one',               lambda: layer(x.to('meta'))),
    ('a sparse tensor',                         TypeError,  'x', 'torch.sparse_coo',             lambda: layer(x.to_sparse())),
    ('a nested tensor',                         TypeError,  'x', 'a nested one',                 lambda: layer(torch.nested.nested_tensor([x[0], x[1,:2]], layout=torch.jagged))),
    ('a sparse sequence for a forecaster',      TypeError,  'x', 'torch.sparse_coo',             lambda: model(x.to_sparse(), 2)),
    ('bytes for a forecaster',                  TypeError,  'x', 'torch.uint8',                  lambda: model.predict((x*255).byte(), 2)),
], 'state': [
    ('a bare pair',                             ValueError, 'state', 'tuple of 2: put the pair into a list', lambda: layer(x, state[0])),
    ('a bare tensor',                           TypeError,  'state', 'Tensor',                   lambda: layer(x, state[0][0])),
    ('a dict',                                  TypeError,  'state', 'dict',                     lambda: layer(x, {0: state[0]})),
    ('two layers for one',                      ValueError, 'state', 'list of 2',                lambda: layer(x, state*2)),
    ('one direction for two',                   ValueError, 'state', 'list of 1',                lambda: ConvLSTM(1, 4, bidirectional=True)(x, state)),
    ('three tensors for two',                   TypeError,  'state', 'tuple of 3',               lambda: layer(x, [(*state[0], state[0][0])])),
    ('None in a list',                          TypeError,  'state', 'NoneType',                 lambda: layer(x, [None])),
    ('None in a pair',                          TypeError,  'state[0]: h', 'NoneType',           lambda: layer(x, [(None, None)])),
    ('the layers in the wrong order',           ValueError, 'state[0]', 'h of shape (2, 3, 8, 8)', lambda: ConvLSTM(1, [4,3])(x, ConvLSTM(1, [4,3])(x)[1][::-1])),
    ('another batch',                           ValueError, 'state[0]', 'h of shape (1, 4, 8, 8)', lambda: layer(x, each(lambda s: s[:1]))),
    ('another image size',                      ValueError, 'state[0]', 'h of shape (2, 4, 8, 4)', lambda: layer(x, each(lambda s: s[...,:4]))),
    ('another number of channels',              ValueError, 'state[0]', 'h of shape (2, 2, 8, 8)', lambda: layer(x, each(lambda s: s[:,:2]))),
    ('a memory of another size than the output',ValueError, 'state[0]', 'c of shape (2, 4, 8, 4)', lambda: layer(x, [(state[0][0], state[0][1][...,:4])])),
    ('float64 for float32',                     TypeError,  'state[0]: h', 'torch.float64',      lambda: layer(x, each(torch.Tensor.double))),
    ('another device',                          ValueError, 'state[0]: h', 'meta',               lambda: layer(x, each(lambda s: s.to('meta')))),
    ('a sparse state',                          TypeError,  'state[0]: h', 'torch.sparse_coo',   lambda: layer(x, each(torch.Tensor.to_sparse))),
    ('a list of a pair for a cell',             TypeError,  'state', 'list of 1',                lambda: cell(x[:,0], state)),
    ('a smaller batch for a stateful layer',    ValueError, 'x', 'has 1 of 8x8: call `reset()`', lambda: after(lambda m: m(x), lambda m: m(x[:1]))),
    ('a smaller image for a stateful layer',    ValueError, 'x', 'has 2 of 8x4: call `reset()`', lambda: after(lambda m: m(x), lambda m: m(x[...,:4]))),
    ('rows to reset that are not those of the batch', ValueError, 'rows', 'shape (1,)',          lambda: after(lambda m: m(x), lambda m: m.reset([True]))),
    ('rows to reset by number',                 TypeError,  'rows', 'torch.int64',               lambda: after(lambda m: m(x), lambda m: m.reset([0,1]))),
    ('no state for a layer without input',      ValueError, 'state', 'None',                     lambda: own(None, steps=2)),
    ('frames for a layer without input',        ValueError, 'x', 'Tensor',                       lambda: own(x, state, steps=2)),
    ('no state for a cell without input',       ValueError, 'state', 'None',                     lambda: ConvLSTMCell(0, 4)(None)),
], 'lengths and steps': [
    ('a length of zero',                        ValueError, 'lengths', '[4, 0]',                 lambda: layer(x, lengths=[4,0])),
    ('a negative length',                       ValueError, 'lengths', '-1',                     lambda: layer(x, lengths=[4,-1])),
    ('a length beyond the frames',              ValueError, 'lengths', '[5, 1]',                 lambda: layer(x, lengths=[5,1])),
    ('lengths of another batch',                ValueError, 'lengths', 'shape (1,)',             lambda: layer(x, lengths=[4])),
    ('lengths with an axis too many',           ValueError, 'lengths', 'shape (1, 2)',           lambda: layer(x, lengths=torch.tensor([[4,2]]))),
    ('fractional lengths',                      TypeError,  'lengths', '4.0',                    lambda: layer(x, lengths=[4.,2.])),
    ('lengths as a tensor of floats',           TypeError,  'lengths', 'torch.float32',          lambda: layer(x, lengths=torch.tensor([4.,2.]))),
    ('lengths as a mask',                       TypeError,  'lengths', 'torch.bool',             lambda: layer(x, lengths=torch.tensor([True,False]))),
    ('complex lengths',                         TypeError,  'lengths', 'torch.complex64',        lambda: layer(x, lengths=torch.tensor([4,2]).to(torch.complex64))),
    ('one length for all',                      TypeError,  'lengths', '4',                      lambda: layer(x, lengths=4)),
    ('lengths as a string',                     TypeError,  'lengths', "'42'",                   lambda: layer(x, lengths='42')),
    ('lengths as a set, which has no order',    TypeError,  'lengths', '{2, 4}',                 lambda: layer(x, lengths={4,2})),
    ('lengths on another device',               ValueError, 'lengths', 'meta',                   lambda: layer(x, lengths=torch.tensor([4,2], device='meta'))),
    ('steps beside other frames',               ValueError, 'steps', '5',                        lambda: layer(x, steps=5)),
    ('fractional steps',                        TypeError,  'steps', '4.0',                      lambda: layer(x, steps=4.)),
    ('no steps',                                ValueError, 'steps', 'None',                     lambda: own(None, state)),
    ('zero steps',                              ValueError, 'steps', '0',                        lambda: own(None, state, steps=0)),
    ('negative steps',                          ValueError, 'steps', '-1',                       lambda: layer.unroll(x[:,0], -1)),
    ('a step to keep beyond the last',          ValueError, 'keep', '[3]',                       lambda: layer.unroll(x[:,0], 3, keep=[3])),
    ('a negative step to keep',                 ValueError, 'keep', '-1',                        lambda: layer.unroll(x[:,0], 3, keep=[-1])),
    ('no step to keep',                         ValueError, 'keep', '[]',                        lambda: layer.unroll(x[:,0], 3, keep=[])),
    ('`return_all_layers` as a string',         TypeError,  'return_all_layers', "'no'",         lambda: layer(x, return_all_layers='no')),
], 'constructors': [
    ('an unknown keyword',                      TypeError,  'peepholes', 'an unexpected keyword: perhaps `peephole`', lambda: ConvLSTM(1, 4, peepholes=True)),
    ('an unknown keyword of a forecaster',      TypeError,  'kernel', 'an unexpected keyword',   lambda: EncoderForecaster(1, (4,), kernel=3)),
    ('an unknown keyword of a head',            TypeError,  'pool', 'an unexpected keyword',     lambda: SequenceToOne(1, 4, 3, pool='max')),
    ('no hidden channels',                      ValueError, 'hidden_channels', '0',              lambda: ConvLSTM(1, 0)),
    ('negative hidden channels',                ValueError, 'hidden_channels', '-3',             lambda: ConvLSTM(1, [4,-3])),
    ('an empty list of layers',                 ValueError, 'length of hidden_channels', '0',    lambda: ConvLSTM(1, [])),
    ('an empty list of layers in a forecaster', ValueError, 'length of hidden_channels', '0',    lambda: EncoderForecaster(1, [])),
    ('fractional channels',                     TypeError,  'hidden_channels', '4.0',            lambda: ConvLSTM(1, 4.)),
    ('negative input channels',                 ValueError, 'in_channels', '-1',                 lambda: ConvLSTM(-1, 4)),
    ('no layers',                               ValueError, 'num_layers', '0',                   lambda: ConvLSTM(1, 4, num_layers=0)),
    ('True for a number of layers',             TypeError,  'num_layers', 'True',                lambda: ConvLSTM(1, 4, num_layers=True)),
    ('two lists that do not agree',             ValueError, 'kernel_size', '[3, 3, 3]',          lambda: ConvLSTM(1, [4,4], kernel_size=[3,3,3])),
    ('more layers than channels',               ValueError, 'hidden_channels', '[4, 4]',         lambda: ConvLSTM(1, [4,4], num_layers=3)),
    ('a kernel of zero',                        ValueError, 'kernel_size', '0',                  lambda: ConvLSTM(1, 4, 0)),
    ('a fractional kernel',                     TypeError,  'kernel_size', '3.0',                lambda: ConvLSTM(1, 4, 3.)),
    ('a kernel for three axes of two',          ValueError, 'kernel_size', '(3, 3, 3)',          lambda: ConvLSTM(1, 4, (3,3,3))),
    ('an even kernel without one for the state',ValueError, 'hidden_kernel_size', 'None',        lambda: ConvLSTM(1, 4, 4)),
    ('an even kernel for the state',            ValueError, 'hidden_kernel_size', '4',           lambda: ConvLSTM(1, 4, hidden_kernel_size=4)),
    ('a dilation of zero',                      ValueError, 'dilation', '0',                     lambda: ConvLSTM(1, 4, dilation=0)),
    ('four spatial axes',                       ValueError, 'spatial_dims', '4',                 lambda: ConvLSTM(1, 4, spatial_dims=4)),
    ('spatial axes that differ between layers', ValueError, 'spatial_dims', '[2, 1]',            lambda: ConvLSTM(1, [4,4], spatial_dims=[2,1])),
    ('an unknown peephole',                     ValueError, 'peephole', "'chanel'",              lambda: ConvLSTM(1, 4, peephole='chanel')),
    ('full peepholes without a size',           ValueError, 'spatial_size', 'None',              lambda: ConvLSTM(1, 4, peephole='full')),
    ('a size without full peepholes',           ValueError, 'spatial_size', '8',                 lambda: ConvLSTM(1, 4, spatial_size=8)),
    ('full peepholes of another size',          ValueError, 'x', '(8, 8)',                       lambda: ConvLSTM(1, 4, peephole='full', spatial_size=6)(x)),
    ('an unknown padding',                      ValueError, 'padding_mode', "'same'",            lambda: ConvLSTM(1, 4, padding_mode='same')),
    ('an unknown norm',                         ValueError, 'norm', "'instance'",                lambda: ConvLSTM(1, 4, norm='instance')),
    ('a batch norm of no input',                ValueError, 'norm', "'batch'",                   lambda: ConvLSTM(0, 4, norm='batch')),
    ('a forget bias of NaN',                    ValueError, 'forget_bias', 'nan',                lambda: ConvLSTM(1, 4, forget_bias=nan)),
    ('an infinite forget bias',                 ValueError, 'forget_bias', 'inf',                lambda: ConvLSTM(1, 4, forget_bias=inf)),
    ('a forget bias where there is no bias',    ValueError, 'forget_bias', '2.0',                lambda: ConvLSTM(1, 4, bias=False, forget_bias=2.)),
    ('a string for a bool',                     TypeError,  'bias', "'no'",                      lambda: ConvLSTM(1, 4, bias='no')),
    ('a number for a bool',                     TypeError,  'stateful', '1',                     lambda: ConvLSTM(1, 4, stateful=1)),
    ('both stateful and bidirectional',         ValueError, 'stateful', 'True',                  lambda: ConvLSTM(1, 4, stateful=True, bidirectional=True)),
    ('a dropout of one',                        ValueError, 'dropout', '1.0',                    lambda: ConvLSTM(1, [4,4], dropout=1.)),
    ('a negative dropout',                      ValueError, 'recurrent_dropout', '-0.1',         lambda: ConvLSTM(1, 4, recurrent_dropout=-.1)),
    ('a dropout of NaN',                        ValueError, 'dropout', 'nan',                    lambda: ConvLSTM(1, [4,4], dropout=nan)),
    ('a dropout between layers of one layer',   UserWarning,'dropout', '',                       lambda: ConvLSTM(1, 4, dropout=.5)),
    ('integer weights',                         ValueError, 'dtype', 'torch.int64',              lambda: ConvLSTM(1, 4, dtype=torch.int64)),
    ('complex weights',                         ValueError, 'dtype', 'torch.complex64',          lambda: ConvLSTMCell(1, 4, dtype=torch.complex64)),
    ('a dtype by its name',                     ValueError, 'dtype', "'float32'",                lambda: ConvLSTM(1, 4, dtype='float32')),
    ('integer weights in a forecaster',         ValueError, 'dtype', 'torch.int64',              lambda: EncoderForecaster(1, (4,), dtype=torch.int64)),
], 'forecasters': [
    ('a horizon of zero',                       ValueError, 'horizon', '0',                      lambda: model(x, 0)),
    ('a negative horizon',                      ValueError, 'horizon', '-2',                     lambda: model.predict(x, -2)),
    ('a fractional horizon',                    TypeError,  'horizon', '2.0',                    lambda: model(x, 2.)),
    ('a height that patches do not divide',     ValueError, 'x', '6x8',                          lambda: to_patches(x[...,:6,:], 4)),
    ('patches of no pixels',                    ValueError, 'patch_size', '0',                   lambda: EncoderForecaster(1, (4,), patch_size=0)),
    ('an unknown output',                       ValueError, 'output', "'tanh'",                  lambda: EncoderForecaster(1, (4,), output='tanh')),
    ('an unknown read-out',                     ValueError, 'readout', "'mlp'",                lambda: EncoderForecaster(1, (4,), readout='mlp')),
    ('a stateful forecaster',                   ValueError, 'stateful', 'True',                  lambda: EncoderForecaster(1, (4,), stateful=True)),
    ('a bidirectional forecaster',              ValueError, 'bidirectional', 'True',             lambda: EncoderForecaster(1, (4,), bidirectional=True)),
    ('no input channels',                       ValueError, 'in_channels', '0',                  lambda: EncoderForecaster(0, (4,))),
    ('a mean that is no number',                TypeError,  'mean', "'dark'",                    lambda: model.start_from_mean('dark')),
    ('no mean',                                 TypeError,  'mean', 'None',                      lambda: model.start_from_mean(None)),
    ('a mean of NaN',                           ValueError, 'mean', '[nan]',                     lambda: model.start_from_mean(nan)),
    ('a mean of another number of channels',    ValueError, 'mean', 'shape (3,)',                lambda: model.start_from_mean([.1,.2,.3])),
    ('a mean that no sigmoid reaches',          ValueError, 'mean', '[3.0]',                     lambda: model.start_from_mean(3.)),
    ('feeding true frames without them',        ValueError, 'target', 'None',                    lambda: nxt(x, 2, feed=fed)),
    ('true frames of another horizon',          ValueError, 'target', 'shape (2, 4, 1, 8, 8)',   lambda: nxt(x, 2, target=x, feed=fed)),
    ('true frames in bytes',                    TypeError,  'target', 'torch.uint8',             lambda: nxt(x, 2, target=(x[:,:2]*255).byte(), feed=fed)),
    ('true frames in a list',                   TypeError,  'target', 'list',                    lambda: nxt(x, 2, target=x[:,:2].tolist(), feed=fed)),
    ('`feed` of another length',                ValueError, 'feed', 'torch.bool of shape (2, 3)',lambda: nxt(x, 2, target=x[:,:2], feed=fed[:,:3])),
    ('`feed` in numbers',                       ValueError, 'feed', 'torch.float32',             lambda: nxt(x, 2, target=x[:,:2], feed=fed.float())),
    ('`feed` in a list',                        TypeError,  'feed', 'list',                      lambda: nxt(x, 2, target=x[:,:2], feed=fed.tolist())),
], 'weather, streams and tiles': [
    ('places on the ground for one that moves along', ValueError, 'covariates', 'more',          lambda: LagrangianForecaster(1, (4,), covariates=1)),
    ('no memory',                               ValueError, 'memory', '0',                       lambda: LagrangianForecaster(1, (4,), memory=0)),
    ('a fractional memory',                     TypeError,  'memory', '2.5',                     lambda: LagrangianForecaster(1, (4,), memory=2.5)),
    ('a period of zero',                        ValueError, 'period', '0',                       lambda: PeriodicForecaster(1, (4,), period=0)),
    ('a period longer than what is known',      ValueError, 'x', '4',                            lambda: PeriodicForecaster(1, (4,), period=5)(x, 2)),
    ('more channels to forecast than there are',ValueError, 'out_channels', '2',                 lambda: PeriodicForecaster(1, (4,), period=2, out_channels=2)),
    ('a layer for a stream',                    TypeError,  'model', 'ConvLSTM',                 lambda: StreamingForecast(layer)),
    ('a sequence for a frame of a stream',      ValueError, 'frame', 'shape (2, 4, 1, 8, 8)',    lambda: stream(x)),
    ('a frame of bytes for a stream',           TypeError,  'frame', 'torch.uint8',              lambda: stream((x[0,0]*255).byte())),
    ('an infinite pixel in a stream',           ValueError, 'frame', '1',                        lambda: stream(torch.where(x[0,0]==x[0,0].max(), inf, x[0,0]))),
    ('another image size in a stream',          ValueError, 'state[0]', 'h of shape (1, 4, 2, 2)', lambda: (stream(x[0,0]), stream(x[0,0,...,:4]))),
    ('a tile that patches do not divide',       ValueError, 'tile', '(6, 6)',                    lambda: forecast_tiles(model, x, 2, tile=6)),
    ('tiles for a sequence without a batch',    ValueError, 'x', 'shape (4, 1, 8, 8)',           lambda: forecast_tiles(model, x[0], 2, tile=4)),
], 'heads': [
    ('no classes',                              ValueError, 'out_features', '0',                 lambda: SequenceToOne(1, 4, 0)),
    ('an unknown output',                       ValueError, 'output', "'relu'",                  lambda: SequenceToOne(1, 4, 3, output='relu')),
    ('an unknown pooling of frames',            ValueError, 'pool_time', "'sum'",                lambda: SequenceToOne(1, 4, 3, pool_time='sum')),
    ('an unknown pooling of pixels',            ValueError, 'how', "'sum'",                      lambda: pool_pixels(x[:,0], 'sum')),
    ('a grid finer than the image',             ValueError, 'grid', '20',                        lambda: SequenceToOne(1, 4, 3, grid=20)(x)),
    ('a dropout of two',                        ValueError, 'head_dropout', '2.0',               lambda: SequenceToOne(1, 4, 3, head_dropout=2.)),
    ('negative features',                       ValueError, 'hidden_features', '-1',             lambda: SequenceToOne(1, 4, 3, hidden_features=-1)),
    ('patches of signals',                      ValueError, 'patch_size', '2',                   lambda: SequenceToOne(1, 4, 3, patch_size=2, spatial_dims=1)),
    ('time first',                              ValueError, 'batch_first', 'False',              lambda: SequenceToOne(1, 4, 3, batch_first=False)),
    ('lengths beyond the frames',               ValueError, 'lengths', '[9, 1]',                 lambda: SequenceToOne(1, 4, 3)(x, lengths=[9,1])),
    ('an unknown pooling',                      ValueError, 'how', "'sum'",                      lambda: pool_frames(x, 'sum')),
], 'conversion': [
    ('a GRU',                                   TypeError,  'lstm', 'GRU',                       lambda: from_lstm(nn.GRU(3, 4))),
    ('an LSTM with a projection',               ValueError, 'proj_size', '2',                    lambda: from_lstm(nn.LSTM(3, 4, proj_size=2))),
    ('an argument that the weights say',        ValueError, 'hidden_channels', '4',              lambda: from_lstm(nn.LSTM(3, 4), hidden_channels=4)),
    ('a cell for a layer',                      TypeError,  'layer', 'ConvLSTMCell',             lambda: to_lstm(cell)),
    ('a kernel of three for an LSTM',           ValueError, 'kernel_size', '(3, 3)',             lambda: to_lstm(ConvLSTM(1, 4, peephole=None))),
    ('a layer for a cell',                      TypeError,  'cell', 'ConvLSTM',                  lambda: to_keras(layer)),
    ('peepholes for Keras',                     ValueError, 'peephole', "'channel'",             lambda: to_keras(cell)),
    ('no Keras layer',                          TypeError,  'layers', 'NoneType',                lambda: from_keras(None)),
    ('an empty list of Keras layers',           ValueError, 'layers', '[]',                      lambda: from_keras([])),
    ('no weights',                              TypeError,  'state_dict', 'an empty one',        lambda: from_state_dict({})),
    ('a module for its weights',                TypeError,  'state_dict', 'ConvLSTM',            lambda: from_state_dict(layer)),
    ('text for a weight',                       TypeError,  'conv.weight', "'abc'",              lambda: from_state_dict({'conv.weight': 'abc'})),
    ('whole numbers for weights',               TypeError,  'weight_ih of layer 0', 'torch.int64', lambda: from_state_dict(conv(16,5,3,3, dtype=torch.int64))),
    ('a weight without axes',                   ValueError, 'conv.weight', '()',                 lambda: from_state_dict(conv())),
    ('weights of no four gates',                ValueError, 'conv.weight', '(15, 5, 3, 3)',      lambda: from_state_dict(conv(15,5,3,3))),
    ('weights of NaN',                          ValueError, 'weight_ih of layer 0', 'NaN',       lambda: from_state_dict({'conv.weight': torch.full((16,5,3,3), nan)})),
    ('weights of two dtypes',                   TypeError,  'weight_ih of layer 0', 'torch.float32', lambda: from_state_dict({k: w.double() if 'hh' in k else w for k,w in nn.LSTM(3, 4).state_dict().items()})),
    ('three letters for four gates',            ValueError, 'gates', "'ifo'",                    lambda: from_state_dict(conv(16,5,3,3), gates='ifo')),
], 'export and archives': [
    ('a file of neither kind',                  ValueError, 'suffix of path', "'.zip'",          lambda: export_model('x.zip', model)),
    ('a Linear for a forecaster',               TypeError,  'model', 'Linear',                   lambda: export_model('x.pt2', nn.Linear(1, 1))),
    ('a form that it has not',                  ValueError, 'form', "'backwards'",               lambda: export_model('x.pt2', model, 'backwards')),
    ('a layer for a forecaster',                TypeError,  'model', 'ConvLSTM',                 lambda: export_model('x.pt2', layer)),
    ('a stream of a model that remembers frames', ValueError, 'form', "'stream'",                lambda: export_model('x.pt2', LagrangianForecaster(1, 4, 3), 'stream')),
    ('a number for `mask`',                     TypeError,  'mask', '2',                         lambda: export_model('x.pt2', model, mask=2)),
    ('no place to read at',                     ValueError, 'interleave', '0',                   lambda: ArchiveWindows(open_records(np.zeros((9,8,8), np.float32)), 2, 2, interleave=0)),
    ('fewer frames than a window',              ValueError, 'records', '3',                      lambda: ArchiveWindows(open_records(np.zeros((3,8,8), np.float32)), 2, 2)),
]}

def autocast(f):
    with torch.autocast('cpu', dtype=torch.bfloat16): return f()

GOOD = {
    'NumPy integers':                   lambda: ConvLSTM(np.int64(1), np.int32(4), np.int64(3)),
    'a tuple of layers':                lambda: ConvLSTM(1, (4,3)),
    'a kernel for each axis and layer': lambda: ConvLSTM(1, [4,3], kernel_size=[(3,5),3]),
    'an even kernel with an odd one':   lambda: ConvLSTM(1, 4, 4, hidden_kernel_size=3)(x),
    'a batch of none':                  lambda: layer(x[:0]),
    'one frame':                        lambda: layer(x[:,:1]),
    'a pair as a list':                 lambda: layer(x, [list(state[0])]),
    'lengths in a NumPy array':         lambda: layer(x, lengths=np.array([4,2])),
    'lengths in a tuple':               lambda: layer(x, lengths=(4,2)),
    'lengths as int32':                 lambda: layer(x, lengths=torch.tensor([4,2], dtype=torch.int32)),
    'bfloat16 frames under autocast':   lambda: autocast(lambda: layer(x.bfloat16())),
    'steps that agree with the frames': lambda: layer(x, steps=4),
    'frames not of whole patches':      lambda: SequenceToMap(1, 4, 2, patch_size=3)(x),
    'a horizon of a NumPy integer':     lambda: model(x, np.int64(2)),
    'a mean for each channel':          lambda: EncoderForecaster(1, (4,), out_channels=2).start_from_mean([.1,.2]),
    'weights in NumPy arrays':          lambda: from_state_dict({'conv.weight': np.zeros((16,5,3,3), 'float32')}),
    'an LSTM, sequence first':          lambda: from_lstm(nn.LSTM(3, 4)),
}

def refused(error, argument, got, call):
    "What the call raised, and whether it is what it must be"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            call()
    except Exception as e:
        text = str(e)
        right = type(e) is error and f"`{argument}`" in text and got in text
        if error is not UserWarning and 'carried state' not in text: right = right and text.startswith(f"`{argument}` must be ") and ', got ' in text
        return f'{type(e).__name__}: {text.splitlines()[0]}', right
    return 'accepted', False

def rows():
    n = 0
    for group,cases in BAD.items():
        for what,error,argument,got,call in cases:
            n += 1
            said,right = refused(error, argument, got, call)
            yield dict(what=f'{group}: {what}', wanted=f'{error.__name__} that names `{argument}`', got=said, passed=right)
    failed = []
    for what,call in GOOD.items():
        try: call()
        except Exception as e: failed.append(f'{what}: {e}')
    yield dict(what=f'good input beside the {n} bad ones: {", ".join(GOOD)}', wanted='accepted', got='; '.join(failed) or f'{len(GOOD)} of {len(GOOD)} accepted', passed=not failed)
    torch._dynamo.reset()
    traced,told = torch.compile(layer, backend='eager'),0
    for bad in (x[0], x[:,:,:0], x.double(), x.expand(-1,-1,3,-1,-1)):
        try: traced(bad)
        except (ValueError, TypeError) as e: told += '`x` must be' in str(e)
        except Exception: pass
    yield dict(what='four of the bad inputs to a layer under `torch.compile`', wanted='the same errors', got=f'{told} of 4', passed=told==4)
