"""The notebooks' saved outputs hold no warnings and no paths of the machine they ran
on, and every picture that a cell describes."""
import re
import sys
from pathlib import Path
import nbformat

nbs = Path(__file__).parent.parent/'nbs'
re_path = re.compile(r'(?<![\w.…])/(?:home|root|tmp|work|usr|Users|private|var)/')

def texts(output):
    "The words of one output"
    return [
        str(output.get('text', '')),
        *(str(v) for k, v in output.get('data', {}).items() if k.startswith('text'))]

errors = []
for p in sorted(nbs.rglob('*.ipynb')):
    for i,cell in enumerate(nbformat.read(p, as_version=4).cells):
        for o in cell.get('outputs', []):
            if o.get('name') == 'stderr':
                errors.append(f'{p.name}, cell {i}: {o.text[:80]!r}')
            if o['output_type'] == 'error':
                errors.append(f'{p.name}, cell {i}: an error was saved')
            if any(map(re_path.search, texts(o))):
                errors.append(f'{p.name}, cell {i}: a path of this machine')
        drawn = any(
            k.startswith('image/') for o in cell.get('outputs', [])
            for k in o.get('data', {}))
        if cell.cell_type == 'code' and '#| fig-alt' in cell.source and not drawn:
            errors.append(f'{p.name}, cell {i}: a description without its picture')
if errors: sys.exit('\n'.join(errors))
print('the saved outputs are clean')
