"""Every tutorial opens in Colab, and installs the library there."""
import json
from pathlib import Path

nbs = Path(__file__).parent.parent/'nbs'
site = 'https://colab.research.google.com/github/convlstm-nb/convlstm_nb/blob/main/nbs'
install = '![ -d /content ] && pip install -q git+https://github.com/convlstm-nb/convlstm_nb'
for page in (nbs/'tutorials').glob('*.ipynb'):
    cells = json.loads(page.read_text(encoding='utf-8'))['cells']
    link, code = (''.join(c['source']) for c in cells[1:3])
    assert f'({site}/tutorials/{page.name})' in link and code == install, page
print('every tutorial opens in Colab')
