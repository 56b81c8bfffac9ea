"The diagram of a ConvLSTM cell, which grows gate by gate."
from matplotlib.patches import Rectangle
from diagram import GREY, box, canvas, knot, label, line

TOP,STATE,FRAME,BUS,GATE,PEEP = 6.1,2.5,1.35,1.92,3.3,4.55 # heights
DASH = dict(ls='--', color='.3', lw=.9)

def fade(ax):
    "Turn what is drawn so far grey"
    for a in ax.patches: a.set_edgecolor('.65')
    for a in ax.lines: a.set(color='.65', markeredgecolor='.65')
    for a in ax.texts:
        a.set_color('.45')
        if arrow := getattr(a, 'arrow_patch', None): arrow.set_color('.65')

def gate(ax, x, number, name, text=r'$\sigma$'):
    "A gate at `x`, above the sum of the convolutions"
    line(ax, (x,BUS), (x,2.95))
    box(ax, x, GATE, text, w=.8, h=.7, fill=GREY['light'])
    label(ax, x+.58, GATE, number, 11)
    label(ax, x+.1, 3.86, name, ha='left')

def peephole(ax, x, dot=None, start=None):
    "A dashed line from the memory to the gate at `x`"
    if dot:
        ax.plot(dot, TOP, 'ko', ms=3.5)
        line(ax, (dot,TOP), (dot,PEEP), (x,PEEP), (x,3.66), **DASH)
    else: line(ax, (start,PEEP), (x,PEEP), (x,3.66), **DASH)

def forget(ax):
    "Two convolutions, the forget gate, and the product with the old memory"
    for y,name,shape,read in (
        (STATE,'$H_{t-1}$','8×16×16','$W_h\\,*$'),
        (FRAME,'$X_t$','3×16×16','$W_x\\,*$')):
        label(ax, .5, y, name, 12)
        label(ax, .5, y-.36, shape)
        line(ax, (.95,y), (2.35,y))
        box(ax, 2.9, y, read, w=1.1, h=.6, fill=GREY['mid'])
        line(ax, (3.45,y), (4.,y), (4., BUS+.2 if y>BUS else BUS-.2))
    knot(ax, 4., BUS, '+')
    line(ax, (4.2,BUS), (4.8,BUS), head=False)
    gate(ax, 4.8, '①', '$f_t$')
    label(ax, .5, TOP, '$C_{t-1}$', 12)
    label(ax, .5, TOP-.36, '8×16×16')
    line(ax, (.95,TOP), (4.6,TOP), lw=2.6, head=False)
    peephole(ax, 4.35, dot=2.9)
    line(ax, (4.8,3.65), (4.8,TOP-.2))
    knot(ax, 4.8, TOP, '∘')

def write(ax):
    "The input gate, the candidate, and their product"
    line(ax, (4.8,BUS), (7.3,BUS), head=False)
    gate(ax, 6.1, '②', '$i_t$')
    gate(ax, 7.3, '③', 'candidate', 'tanh')
    line(ax, (4.35,PEEP), (4.68,PEEP), head=False, **DASH)
    peephole(ax, 5.75, start=4.92)
    knot(ax, 6.7, 4.6, '∘')
    line(ax, (6.1,3.65), (6.1,4.6), (6.5,4.6))
    line(ax, (7.3,3.65), (7.3,4.6), (6.9,4.6))

def memory(ax):
    "The sum, which is the new memory"
    line(ax, (6.7,4.8), (6.7,TOP-.2))
    line(ax, (5.,TOP), (6.5,TOP), lw=2.6, head=False)
    knot(ax, 6.7, TOP, '+')
    line(ax, (6.9,TOP), (11.,TOP), lw=2.6)
    label(ax, 11.55, TOP, '$C_t$', 12)
    label(ax, 11.55, TOP-.36, '8×16×16')

def output(ax):
    "The output gate and the new hidden state"
    line(ax, (7.3,BUS), (8.9,BUS), head=False)
    gate(ax, 8.9, '④', '$o_t$')
    peephole(ax, 8.6, dot=8.3)
    ax.plot(9.7, TOP, 'ko', ms=3.5)
    line(ax, (9.7,TOP), (9.7,5.35))
    box(ax, 9.7, 5., 'tanh', w=.8, h=.7, fill=GREY['light'])
    knot(ax, 9.7, 4.1, '∘')
    label(ax, 10.1, 4.1, '⑤', 11)
    line(ax, (9.7,4.65), (9.7,4.3))
    line(ax, (8.9,3.65), (8.9,4.1), (9.5,4.1))
    line(ax, (9.7,3.9), (9.7,STATE), (11.,STATE))
    label(ax, 11.55, STATE, '$H_t$', 12)
    label(ax, 11.55, STATE-.36, '8×16×16')

STEPS = dict(forget=forget, write=write, memory=memory, output=output)

def cell_diagram(until, highlight=True):
    "Draw the cell up to a step; the steps before it are grey"
    ax = canvas(12.1, 6., bottom=.75)
    ax.add_patch(Rectangle((2.,.85), 8.5, 5.85, fc='.97', ec='.6', lw=.8, zorder=0))
    for name,draw in STEPS.items():
        draw(ax)
        if name==until: return ax
        if highlight: fade(ax)
