"The sidebar lists every page once, and nothing that is not a page."
import sys
from collections import Counter
from pathlib import Path
import yaml

nbs = Path(__file__).parent.parent/'nbs'

def entries(o):
    "The pages named in `o`, a part of the sidebar"
    if isinstance(o, str): return [o]
    if isinstance(o, list): return [p for e in o for p in entries(e)]
    return entries(o.get('href', [])) + entries(o.get('contents', []))

def pages(nbs):
    """The pages that the site is built from: notebooks and Quarto files outside of
    hidden folders"""
    paths = [
        p.relative_to(nbs) for ext in ('ipynb', 'qmd', 'md')
        for p in nbs.rglob(f'*.{ext}')]
    return [p.as_posix() for p in paths if not any(part[0] in '._' for part in p.parts)]

listed = Counter(
    entries(
        yaml.safe_load((nbs / 'sidebar.yml').read_text())['website']['sidebar'][
            'contents']))
there  = set(pages(nbs))
errors = [f'not in nbs/sidebar.yml: {p}'       for p in sorted(there-listed.keys())]
errors += [f'in nbs/sidebar.yml, but no page: {p}' for p in sorted(listed.keys()-there)]
errors += [f'{n} times in nbs/sidebar.yml: {p}'    for p,n in listed.items() if n>1]
if errors: sys.exit('\n'.join(errors))
print(f'the sidebar lists all {len(there)} pages')
