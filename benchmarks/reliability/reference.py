"""A ConvLSTM in NumPy, written from equations (3) of Shi et al. 2015: a loop over
time, and the gradients by hand.

Nothing here is shared with the library, and nothing is taken from torch: a
convolution is a sum over the offsets of its
kernel, and backpropagation is the chain rule, line by line. Axes are
`(B,T,C,*size)`; gates are stacked `i,f,g,o`."""
import numpy as np

# What stands at position `p` of an axis of `n` pixels, in terms of the pixels that are
# there
OUTSIDE = dict(
    zeros=lambda p, n: p, replicate=lambda p, n: min(max(p, 0), n - 1),
    circular=lambda p, n: p % n,
    reflect=lambda p, n: -p if p < 0 else 2 * (n - 1) - p if p >= n else p)

def reader(n, offset, mode):
    """The matrix that reads, at each pixel of an axis of `n`, the pixel at `offset`
    from it"""
    R = np.zeros((n, n))
    for p in range(n):
        q = OUTSIDE[mode](p + offset, n)
        if 0 <= q < n: R[p,q] = 1
    return R

def along(x, matrices, back=False):
    "Apply one matrix to each of the last axes of `x`, or their transposes"
    for axis, R in enumerate(matrices, x.ndim - len(matrices)):
        x = np.moveaxis(np.tensordot(R.T if back else R, x, (1, axis)), 0, axis)
    return x

def offsets(w, size, dilation, mode):
    """Each place in the kernel, with the matrices that read the pixels which it
    meets; an odd pixel of padding stands at the end"""
    kernel = w.shape[2:]
    for place in np.ndindex(*kernel):
        yield (
            place,
            [
                reader(n, d * p - d * (k - 1) // 2, mode)
                for n, p, k, d in zip(size, place, kernel, dilation)])

def conv(x, w, dilation, mode):
    "`w * x`, cross-correlated"
    return sum(
        np.einsum('oc,bc...->bo...', w[(..., *place)], along(x, R))
        for place, R in offsets(w, x.shape[2:], dilation, mode))

def conv_back(dz, x, w, dilation, mode):
    "Gradients of `conv` with respect to `x` and `w`"
    dx,dw = np.zeros_like(x),np.zeros_like(w)
    summed = [0,*range(2, x.ndim)] # over sequences and pixels
    for place,R in offsets(w, x.shape[2:], dilation, mode):
        dw[(...,*place)] = np.tensordot(dz, along(x, R), (summed, summed))
        dx += along(np.einsum('oc,bo...->bc...', w[(...,*place)], dz), R, back=True)
    return dx,dw

def sigmoid(a): return 1/(1 + np.exp(-a))

class Direction:
    "One layer in one direction of time, which remembers what its gradients need"
    def __init__(self, weights, dilation, mode, reverse=False):
        self.w, self.dilation, self.mode, self.reverse = (
            weights, dilation, mode, reverse)

    def times(self, T, backwards=False):
        return range(T)[::-1] if self.reverse != backwards else range(T)

    def forward(self, x, h, c, runs):
        """Outputs and the last state; `runs[b,t]` says whether sequence b still runs
        at t"""
        w,dense = self.w,[1]*len(self.dilation)
        peep = lambda gate,c: w[f'weight_c{gate}']*c if f'weight_c{gate}' in w else 0
        self.x,self.runs,self.tape,out = x,runs,{},{}
        for t in self.times(x.shape[1]):
            z = conv(x[:, t], w['weight_ih'], self.dilation, self.mode) + conv(
                h, w['weight_hh'], dense, self.mode)
            if 'bias' in w: z = z + w['bias'].reshape(-1, *dense)
            zi,zf,zg,zo = np.split(z, 4, 1)
            i  = sigmoid(zi + peep('i', c))
            f  = sigmoid(zf + peep('f', c))
            g  = np.tanh(zg)
            c1 = f*c + i*g
            o  = sigmoid(zo + peep('o', c1))
            h1 = o*np.tanh(c1)
            self.tape[t] = h,c,i,f,g,c1,o
            on = runs[:,t].reshape(-1, 1, *dense)
            out[t],h,c = np.where(on, h1, 0),np.where(on, h1, h),np.where(on, c1, c)
        return np.stack([out[t] for t in range(x.shape[1])], 1),h,c

    def backward(self, dout, dh, dc):
        """Gradients with respect to the input, the first state and the weights;
        `terms` is what those of a channel sum up, without the signs"""
        w,dense = self.w,[1]*len(self.dilation)
        dx,dw = np.zeros_like(self.x),{k:np.zeros_like(v) for k,v in w.items()}
        self.terms = {k:np.zeros_like(v) for k,v in w.items() if v.size==len(v)}
        def over_pixels(k, dz): # a channel's weight meets every pixel
            self.terms[k] += np.abs(dz).sum((0, *range(2, dz.ndim))).reshape(w[k].shape)
            return dz.sum((0, *range(2, dz.ndim))).reshape(w[k].shape)
        def peep_back(gate, dz, c): # adds to the weight's gradient, and returns the memory's
            if (k := f'weight_c{gate}') not in w: return 0
            dw[k] += over_pixels(k, dz*c) if k in self.terms else (dz*c).sum(0)
            return w[k]*dz
        for t in self.times(self.x.shape[1], backwards=True):
            h,c,i,f,g,c1,o = self.tape[t]
            on = self.runs[:,t].reshape(-1, 1, *dense)
            dh1,dc1 = np.where(on, dout[:,t] + dh, 0),np.where(on, dc, 0)
            # a finished sequence hands its state through
            dh,dc   = np.where(on, 0, dh),np.where(on, 0, dc)
            dzo  = dh1*np.tanh(c1)*o*(1-o)
            dc1  = dc1 + dh1*o*(1 - np.tanh(c1)**2) + peep_back('o', dzo, c1)
            dzi  = dc1*g*i*(1-i)
            dzf  = dc1*c*f*(1-f)
            dzg  = dc1*i*(1 - g**2)
            dc   = dc + dc1*f + peep_back('i', dzi, c) + peep_back('f', dzf, c)
            dz   = np.concatenate([dzi,dzf,dzg,dzo], 1)
            dxt, dwx = conv_back(
                dz, self.x[:, t], w['weight_ih'], self.dilation, self.mode)
            dht,dwh = conv_back(dz, h, w['weight_hh'], dense, self.mode)
            dx[:,t] = dxt
            dh = dh + dht
            dw['weight_ih'] += dwx
            dw['weight_hh'] += dwh
            if 'bias' in w: dw['bias'] += over_pixels('bias', dz)
        return dx,dh,dc,dw

class Stack:
    "Layers upon each other, one list of directions for each"
    def __init__(self, layers): self.layers = layers

    def forward(self, x, state, lengths=None):
        "Outputs of all layers, and the last states, in `nn.LSTM`'s order"
        B,T = x.shape[:2]
        runs = np.arange(T) < np.reshape([T]*B if lengths is None else lengths, (B, 1))
        outs,last,start = [],[],iter(state)
        for layer in self.layers:
            done = [d.forward(x, *next(start), runs) for d in layer]
            x = np.concatenate([out for out,_,_ in done], 2)
            outs.append(x)
            last += [(h,c) for _,h,c in done]
        return outs,last

    def backward(self, douts, dlast):
        """Gradients with respect to the input, the first states and the weights,
        from those of `forward`'s results"""
        dx,dstate,dweights = 0,[],[]
        for l, layer in reversed(list(enumerate(self.layers))):
            parts, end = (
                np.split(douts[l] + dx, len(layer), 2), len(dlast) - len(dstate))
            back = [
                d.backward(p, *s)
                for d, p, s in zip(layer, parts, dlast[end - len(layer) : end])]
            dx = sum(b[0] for b in back)
            dstate = [(dh, dc) for _, dh, dc, _ in back] + dstate
            dweights = [dw for *_, dw in back] + dweights
        return dx,dstate,dweights
