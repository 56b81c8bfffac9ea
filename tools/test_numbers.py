"""A time, a size or a percentage in the text of a page, if written in digits, is computed
by the page or read from a file of results; what describes data, a task or a bound is
listed here."""
import json
import re
import sys
from pathlib import Path

nbs    = Path(__file__).parent.parent/'nbs'
number = re.compile(
    r'(?<![\w.#/{=-])\d[\d.,]*[  -]?(?:ms|s|seconds|min|minutes|hours?|%|[KMG]i?B|times)(?!\w)')
unread = re.compile(r'(?s)```.*?```|`[^`]*`|\]\([^)]*\)|\$[^$]*\$')
typed  = {
    '12_models.lagrangian': ['5 minutes', '5 %'],       # the data of the examples
    '22_baselines': ['2 minutes'],
    '24_probabilities': ['20 %', '30 %'],               # examples of a chance
    '30_data.times': ['86,400 seconds'],
    '36_data.open': ['20 GB', '2 GB'],                  # a size, and what is asserted
    '41_callbacks': ['1 %'],                            # a schedule's end
    '64_pretrained': ['4 MB'],                          # asserted
    'index': ['2 MB', '6 GB'],                          # asserted; what pip downloads
    'benchmarks/nowcasts': [
        '20 minutes', '50 minutes', '72 minutes', # leads and clips
        '5 %', '25 minutes'],                     # a definition; asserted
    'benchmarks/real_rain': ['2 minutes', '20 minutes', '95 %'], # data and intervals
    'explanations/receptive_field': ['90 %'],           # a definition
    'tutorials/radar': ['20 minutes'],
    'tutorials/radar_event': ['25 minutes', '30 minutes'], # of the frames that are drawn
    'tutorials/temperature': ['12 hours', '24 hours', '48 hours'],
}

def numbers(page):
    "The numbers with units in the text of `page`"
    for cell in json.loads(page.read_text(encoding='utf-8'))['cells']:
        if cell['cell_type']=='markdown':
            yield from number.findall(unread.sub('', ''.join(cell['source'])))

errors = []
for page in sorted(nbs.rglob('*.ipynb')):
    if any(part[0] in '._' for part in page.relative_to(nbs).parts): continue
    name = page.relative_to(nbs).with_suffix('').as_posix()
    errors += [
        f'{name}: {n!r} is typed: compute it, or read it from a file of results'
        for n in numbers(page) if n.replace(' ', ' ') not in typed.get(name, [])]
assert number.search('took 1072 s.') and number.search('a skill of 49.5 %')
if errors: sys.exit('\n'.join(errors))
print('no time, size or percentage is typed into the text of a page')
