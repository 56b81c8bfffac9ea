"Boxes and arrows for the diagrams of these pages: black on white, vector, each with its alternative text."
import io, html, re
from base64 import b64encode
from IPython.display import HTML
from matplotlib import pyplot as plt

GREY = dict(light='.93', mid='.8', dark='.35')

def canvas(w, h, bottom=0., scale=.62):
    "Axes of `w` by `h` units, without a frame"
    fig = plt.figure(figsize=(w*scale, h*scale))
    ax  = fig.add_axes([0,0,1,1], xlim=(0,w), ylim=(bottom,bottom+h))
    ax.set_axis_off()
    return ax

def box(ax, x, y, text='', w=1., h=.7, fill='w', size=9, round=.12, **kw):
    "A box around (x,y)"
    style = dict(boxstyle=f'round,pad=0,rounding_size={round}', fc=fill, ec='k', lw=.9, zorder=2) | kw
    ax.add_patch(plt.matplotlib.patches.FancyBboxPatch((x-w/2,y-h/2), w, h, **style))
    ax.text(x, y, text, ha='center', va='center', size=size, zorder=3)

def knot(ax, x, y, text, r=.2, size=10):
    "A circle for an operation"
    ax.add_patch(plt.Circle((x,y), r, fc='w', ec='k', lw=.9, zorder=2))
    ax.text(x, y-.01, text, ha='center', va='center', size=size, zorder=3)

def line(ax, *points, head=True, **kw):
    "A line through points, with an arrow's head at its end"
    style = dict(color='k', lw=1., zorder=1) | kw
    xs,ys = zip(*points)
    if len(points)>2 or not head: ax.plot(xs[:-1] if head else xs, ys[:-1] if head else ys, solid_capstyle='butt', solid_joinstyle='miter', **style)
    if not head: return
    arrow = {k: style[k] for k in ('color','lw','zorder')} | dict(arrowstyle='-|>', mutation_scale=9, shrinkA=0, shrinkB=0, ls=style.get('ls', '-'))
    ax.annotate('', points[-1], points[-2], arrowprops=arrow, zorder=style['zorder'])

def label(ax, x, y, text, size=9, **kw):
    "Text around (x,y)"
    ax.text(x, y, text, **(dict(ha='center', va='center', size=size, zorder=4) | kw))

def vector(fig, alt, caption=''):
    "Show a figure, or that of some axes, as a vector picture on white"
    fig,out = getattr(fig, 'figure', fig),io.BytesIO()
    with plt.rc_context({'svg.hashsalt':'convlstm_nb'}):
        fig.savefig(out, format='svg', bbox_inches='tight', pad_inches=.08, facecolor='w', metadata={'Date':None})
    plt.close(fig)
    # a hundredth of a point is enough for a line
    short = re.sub(rb' d="[^"]*"', lambda m: re.sub(rb'(\.\d\d)\d+', rb'\1', m[0]), out.getvalue())
    source = f'data:image/svg+xml;base64,{b64encode(short).decode()}'
    image = f'<img class="img-fluid" alt="{html.escape(alt)}" src="{source}">'
    if not caption: return HTML(image)
    # the markup that Quarto gives to a picture with `fig-cap`
    return HTML('<div class="quarto-figure quarto-figure-center"><figure class="figure">'
                f'<p>{image}</p><figcaption>{html.escape(caption)}</figcaption></figure></div>')
