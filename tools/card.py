"Draw the picture that is shown where someone shares a page: `nbs/images/card.png`"
from pathlib import Path
from matplotlib import pyplot as plt
from convlstm_nb.checkpoint import load_config
from convlstm_nb.data.moving_mnist import MovingMNIST
from convlstm_nb.pretrained import SHIPPED, shipped_model

known,truth = MovingMNIST('test', **load_config(SHIPPED)['data']['motion'])[3]
ahead = shipped_model().predict(known[None], 10)[0]
fig = plt.figure(figsize=(12, 6.3), dpi=100, facecolor='#0f1e1c')
def say(y, text, size, color='w'):
    fig.text(.04, y, text, size=size, color=color, va='center', family='DejaVu Sans')
say(.88, 'convlstm_nb', 40)
say(.775, 'Convolutional LSTM in PyTorch and fastai: forecast sequences of images', 19)
rows = [('input', known[-6:], '#cccccc'), ('what followed', truth[:6], '#cccccc'),
        ('forecast', ahead[:6], '#53d3bc')]
for r,(name,frames,color) in enumerate(rows):
    say(.59 - .23*r, name, 18, color)
    for i,frame in enumerate(frames):
        ax = fig.add_axes([.2 + .13*i, .49 - .23*r, .12, .21])
        ax.imshow(frame[0], cmap='gray', vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        for side in ax.spines.values(): side.set(color=color, linewidth=1.5)
fig.savefig(Path(__file__).parent.parent/'nbs/images/card.png', facecolor='#0f1e1c')
