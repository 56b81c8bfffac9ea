"""Open every page of the built site in Chromium, at desktop and phone width, and
report what a reader would stumble over."""
import json
import re
import shutil
import sys
import tempfile
import threading
import time
from base64 import b64decode
from configparser import ConfigParser
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse
from fastcore.script import call_parse
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

top    = Path(__file__).parent.parent
widths = {'desktop': 1280, 'phone': 390}
weight = 1.5*2**20 # of a page with all that it loads, in bytes
flags = '''--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
           --disable-component-update --disable-sync --hide-scrollbars'''.split()

# What is looked at inside of a page: {kind of problem: [each one found]}, and what the
# links check needs
probe_js = r'''
const all = s => [...document.querySelectorAll(s)], say = e => e.outerHTML.slice(0, 120)
const skip = 'code, pre, script, style, noscript, textarea, .katex, .sourceCode'
const words = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
for (let n; n = walk.nextNode();) if (!n.parentElement.closest(skip)) words.push(n.textContent)
const grep = re => words.filter(w => re.test(w)).map(w => w.trim().slice(0, 120))

const wide = document.documentElement.clientWidth
const scrolls = e => e && e.tagName!='MAIN' && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement))
const sticks = all('main *').filter(e => e.getBoundingClientRect().right > wide+1 && !e.closest('.katex') && !scrolls(e.parentElement))
if (!sticks.length && document.documentElement.scrollWidth > wide+1) sticks.push(document.body)

const ids = all('[id]').map(e => e.id), nav = document.querySelector('#quarto-sidebar')
const here = nav && nav.offsetParent && nav.querySelector('.sidebar-link.active')
const [a, b] = here ? [here, nav].map(e => e.getBoundingClientRect()) : []
const unseen = here && (!here.offsetParent || a.top < b.top-1 || a.bottom > b.bottom+1)
const folds = all('.sidebar-item-section').filter(e => /^(Reference|Contribute)$/.test(e.firstElementChild.textContent.trim()))
const unfolded = folds.map(e => e.querySelector('ul')).filter(e => e.classList.contains('show') && !e.querySelector('.active'))

const measure = e => e.getBoundingClientRect().width/parseFloat(getComputedStyle(e).fontSize)*2 // about two letters an em

return {
  found: {
    'raw TeX':             grep(/\$\$|\\[()[\]]|\\[a-zA-Z]{2,}|\$[^\s$][^$\n]*[\\_^{=+*/-][^$\n]*\$/),
    'raw Markdown':        grep(/^\s*:::|\]\(|^\s*#\||\*\*\S/),
    'link inside of code': all('pre').map(e => e.textContent.match(/.{0,60}\]\(\/?[\w.\/-]+\.html.{0,20}/)).filter(m => m).map(m => m[0]),
    'equation not set':    all('.math').filter(e => !e.querySelector('.katex, mjx-container')).map(say),
    'equation in error':   all('.katex-error, mjx-merror').map(say),
    'picture missing':     all('img').filter(e => !e.naturalWidth).map(say),
    'picture without alt': all('img').filter(e => !(e.alt || '').trim()).map(say),
    'no heading 1':        all('h1').some(e => e.innerText.trim()) ? [] : [document.title],
    'wider than the page': sticks.slice(0, 3).map(say),
    'overlong line':       all('main p, main li').filter(e => measure(e) > 140).map(say),
    'duplicate id':        ids.filter((o, i) => ids.indexOf(o)!=i),
    'not in view in the sidebar': unseen ? [here.innerText] : [],
    'not folded in the sidebar': unfolded.map(say),
    'no og:image':         document.querySelector('meta[property="og:image"]') ? [] : [document.title],
    'no edit link':        all('a[href*="/edit/"]').length ? [] : [document.title],
  },
  links: all('a[href]').map(e => e.href).concat(all('meta[property="og:image"]').map(e => e.content)),
  edits: all('a[href*="/edit/"]').map(e => e.href),
  loaded: performance.getEntriesByType('resource').map(e => e.name),
  sidebar: all('#quarto-sidebar a[href]').map(e => e.href),
  ids: ids.concat(all('a[name]').map(e => e.name)),
  height: document.documentElement.scrollHeight,
}'''
# Text that stands out too little from what is behind it, by the Web Content
# Accessibility Guidelines 2.2, level AA
contrast_js = r'''
const rgba = s => { const n = s.match(/-?[\d.]+/g).map(Number), k = s.startsWith('color(') ? 255 : 1; return [n[0]*k, n[1]*k, n[2]*k, n[3] ?? 1] }
const over = (a, b) => a.map((v, i) => i<3 ? v*a[3] + b[i]*(1-a[3]) : 1)
const light = c => { const [r,g,b] = c.map(v => (v /= 255) <= .04045 ? v/12.92 : ((v+.055)/1.055)**2.4); return .2126*r + .7152*g + .0722*b }
const ground = e => { if (!e) return [255,255,255,1]; const c = rgba(getComputedStyle(e).backgroundColor); return c[3]==1 ? c : over(c, ground(e.parentElement)) }
const seen = e => { let o = 1; for (; e; e = e.parentElement) o *= getComputedStyle(e).opacity; return o }
const found = new Map(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), done = new Set()
for (let n; n = walk.nextNode();) {
  const e = n.parentElement
  if (!n.textContent.trim() || done.has(e) || e.closest('.katex-mathml, noscript, script, style, option, [aria-hidden="true"], :disabled')) continue
  done.add(e)
  const box = e.getBoundingClientRect(), look = getComputedStyle(e)
  if (!box.width || !box.height || look.visibility!='visible' || !e.checkVisibility()) continue
  const behind = ground(e), ink = rgba(look.color)
  ink[3] *= seen(e)
  const [a, b] = [light(over(ink, behind)), light(behind)].sort((x, y) => y-x), ratio = (a+.05)/(b+.05)
  const size = parseFloat(look.fontSize), enough = size>=24 || size>=18.66 && look.fontWeight>=700 ? 3 : 4.5
  const key = [look.color, behind].join()
  if (ratio < enough && !found.has(key)) found.set(key, `${ratio.toFixed(2)} of ${look.color} on ${behind.slice(0,3).map(Math.round)}: ${e.tagName} "${n.textContent.trim().slice(0,40)}"`)
}
return [...found.values()]'''
ready_js = "return document.readyState=='complete' && [...document.images].every(e => e.complete)"
# Nothing moves while it is looked at: a colour is read when it has changed, and a place
# when the page has come there
still_js = r'''
const s = document.createElement('style')
s.textContent = '*, ::before, ::after { transition: none !important; animation: none !important; scroll-behavior: auto !important }'
document.head.append(s)'''

class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

def serve(root):
    "Serve the folder `root` from a thread"
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_port}/'

def browser(profile):
    "Chromium, with a new `profile` folder"
    opts = webdriver.ChromeOptions()
    for f in [*flags, f'--user-data-dir={profile}']: opts.add_argument(f)
    opts.set_capability('goog:loggingPrefs', {'browser':'ALL'})
    opts.binary_location = next(
        filter(
            None, map(shutil.which, ['chromium', 'chromium-browser', 'google-chrome'])),
        None)
    if not opts.binary_location:
        sys.exit('no Chromium: install the packages chromium and chromium-driver')
    return webdriver.Chrome(options=opts, service=Service(shutil.which('chromedriver')))

def resize(driver, width, height=900):
    """Show the page as on a screen of `width` pixels; a window itself cannot be as
    narrow as a phone"""
    size = dict(width=width, height=height, deviceScaleFactor=1, mobile=width<500)
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)

def until(f, timeout):
    "Wait until `f` returns something"
    end = time.time() + timeout
    while not (got := f()) and time.time()<end: time.sleep(.05)
    return got

def visit(driver, url, width):
    "Open a page, and wait for its pictures and for the scripts that set the equations"
    resize(driver, width)
    driver.get(url)
    until(lambda: driver.execute_script(ready_js), 30)
    driver.execute_async_script(
        'requestAnimationFrame(() => setTimeout(arguments[0], 50))')
    driver.execute_script(still_js)

def screenshot(driver, path, width, height):
    "Write the whole page as a picture"
    resize(driver, width, min(height, 16000))
    shot = driver.execute_cdp_cmd('Page.captureScreenshot', {'format':'png'})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b64decode(shot['data']))

def turn(driver, theme):
    "Let a reader prefer the `theme`, dark or light"
    driver.execute_cdp_cmd(
        'Emulation.setEmulatedMedia',
        {'features': [{'name': 'prefers-color-scheme', 'value': theme}]})

def low_contrast(driver, theme):
    "The text that is too faint in the `theme`"
    turn(driver, theme)
    turned = until(
        lambda: (
            driver.execute_script(
                "return document.documentElement.classList.contains('quarto-dark')")
            == (theme == 'dark')),
        5)
    return (
        driver.execute_script(contrast_js) if turned
        else ['the page does not change its theme'])

def probe(driver, base, page, shots=None):
    """The problems of one `page`, and what it links to; it is loaded once, on a
    desktop that prefers the dark, and then turned and narrowed"""
    said,problems = [],{}
    driver.get_log('browser')
    turn(driver, 'dark')
    visit(driver, base+page, widths['desktop'])
    for theme in 'dark', 'light':
        said += [
            f'{page}: contrast in {theme}: {o}' for o in low_contrast(driver, theme)]
    for name,width in widths.items():
        resize(driver, width)
        until(
            lambda: (
                driver.execute_script('return document.documentElement.clientWidth')
                == width),
            5)
        res = driver.execute_script(probe_js)
        for kind,found in res['found'].items():
            for o in found: problems.setdefault((kind,o), []).append(name)
        if shots:
            screenshot(
                driver, Path(shots) / f"{page.replace('/', '-')[:-5]}-{name}.png",
                width, res['height'])
    said += [
        f"{page}: {kind} ({' and '.join(at)}): {o}"
        for (kind, o), at in problems.items()]
    said += [
        f"{page}: console error: {o['message']}" for o in driver.get_log('browser')
        if o['level'] == 'SEVERE']
    return said, res

def inner(url, base, site_url):
    "The page and anchor that `url` points at, if it is inside of the site"
    url,anchor = urldefrag(url)
    for b in (base, site_url+'/'):
        if (url + '/').startswith(b):
            path = unquote(urlparse(url[len(b) :]).path)
            return (
                path + 'index.html' if path == '' or path.endswith('/') else path
            ), unquote(anchor)

def elsewhere(loaded, base):
    "What a page has `loaded` from another site"
    return [
        f'loaded from elsewhere: {u}' for u in loaded
        if not u.startswith((base, 'data:', 'blob:'))]

def check_weight(root, results, base):
    "Report the pages that make a reader wait"
    for page,res in results.items():
        paths = {
            page,
            *(
                urlparse(u).path.lstrip('/') for u in res['loaded']
                if u.startswith(base))}
        bytes = sum(
            (root / unquote(p)).stat().st_size for p in paths
            if (root / unquote(p)).is_file())
        if bytes > weight:
            yield f'{page}: heavier than {weight / 2**20:.1f} MiB: {bytes / 2**20:.2f} MiB in {len(paths)} files'
        yield from (f'{page}: {o}' for o in elsewhere(res['loaded'], base))

def check_edits(results):
    "Report the links to an editor that name no file of the repository"
    for page,res in results.items():
        for u in res['edits']:
            path = unquote(urlparse(u).path).split('/edit/main/')[-1]
            if not (top/path).is_file(): yield f'{page}: dead edit link: {path}'

def check_llms(root):
    "Report what llms.txt leaves out, and pictures written out in the copies"
    path = root/'llms.txt'
    text = path.read_text(encoding='utf-8') if path.exists() else ''
    for page in sorted(site_pages(root)):
        copy = page.replace('.html', '.llms.md')
        if copy not in text or not (root / copy).is_file():
            yield f'llms.txt: leaves out {page}'
        elif re.search(r';base64,[\w+/]{40}', (root/copy).read_text(encoding='utf-8')):
            yield f'{copy}: a picture inside of the text'

docs = ['pytorch.org','fast.ai','numpy.org']
def check_lookup(results):
    "Report a library whose documentation no page links to"
    linked = {urlparse(u).netloc for res in results.values() for u in res['links']}
    for d in docs:
        if not any(host == d or host.endswith('.' + d) for host in linked):
            yield f'no page links to {d}'

def searches():
    "What users type, and the pages of which one has to come first"
    lines = (top/'tools/searches.txt').read_text(encoding='utf-8').splitlines()
    pairs = [o.split(': ') for o in lines if o and o[0]!='#']
    return {query: pages.split() for query,pages in pairs}

def check_search(driver, base):
    "Search for words as a reader does, and report what leads elsewhere"
    visit(driver, base+'index.html', widths['desktop'])
    fields = driver.find_elements(By.CSS_SELECTOR, '#quarto-search input')
    box = next((e for e in fields if e.is_displayed()), None)
    if box is None: return ['index.html: search: no box to write into']
    return [
        f'index.html: search: {o}'
        for query,pages in searches().items() for o in search(driver, box, query, pages)]

found_js = """const none = document.querySelector('.search-none')
return none ? [none.textContent] : [...document.querySelectorAll('.search-result')].map(e => e.getAttribute('href'))"""
def search(driver, box, query, pages):
    "Search for `query`; report if none of `pages` comes first"
    driver.execute_script(
        """document.querySelector('.smalldocs-search-results').replaceChildren()
        arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))""",
        box, query)
    found = until(lambda: driver.execute_script(found_js), 10)
    first = urldefrag(found[0])[0].removeprefix('./') if found else 'nothing'
    if first=='No results': yield f'nothing found for {query!r}'
    elif first not in pages: yield f'{query!r} leads to {first}, not to {pages[0]}'

def check_links(root, results, base, site_url):
    "Report the links that lead nowhere, and the pages that the sidebar leaves out"
    problems, ids = [], {}
    def anchors(page):
        if page not in ids:
            known = results.get(page)
            ids[page] = set(
                known['ids']
                if known
                else re.findall(
                    r'\b(?:id|name)="([^"]+)"',
                    (root / page).read_text(encoding='utf-8')))
        return ids[page]
    for page,res in results.items():
        for url in sorted(set(res['links'])):
            to = inner(url, base, site_url)
            if not to: continue
            path,anchor = to
            if not (root/path).is_file(): problems.append(f'{page}: dead link: {path}')
            elif anchor and path.endswith('.html') and anchor not in anchors(path): problems.append(f'{page}: dead anchor: {path}#{anchor}')
        listed = {
            inner(u, base, site_url)[0] for u in res['sidebar']
            if inner(u, base, site_url)}
        problems += [
            f'{page}: the sidebar leaves out {p}'
            for p in sorted(site_pages(root) - listed)]
    return problems

throw_page = 'explanations/throw_a_shape.html'
def check_throw(driver, root, base, shots=None, widths=widths):
    """Throw a shape on the page that runs a model in the browser, and compare what
    is seen with PyTorch's forecast"""
    if not (root/throw_page).exists(): return [f'{throw_page}: absent']
    if not (root / throw_page).with_name('throw').joinpath('ort').exists():
        return [
            f'{throw_page}: no ONNX Runtime beside it: run tools/ort.py before the '
            'site is built']
    for name,width in widths.items():
        problems = [f'{throw_page} ({name}): {o}' for o in throw(driver, base, width)]
        if shots:
            screenshot(
                driver, Path(shots) / f'thrown-{name}.png', width,
                driver.execute_script('return document.documentElement.scrollHeight'))
        if problems: return problems
    return []

def throw(driver, base, width):
    "The problems of one throw on a screen of `width` pixels"
    js, find = (
        driver.execute_script,
        lambda s: driver.find_element(By.CSS_SELECTOR, f'#throw {s}'),
    )
    def state(): return js("return document.getElementById('throw').dataset.state")
    visit(driver, base+throw_page, width)
    find('.start').click()
    until(lambda: state() in ('ready','failed'), 120)
    if state()!='ready': return [f'the model does not start: {find(".say").text}']
    stage = find('.happens')
    js('arguments[0].scrollIntoView({block:"center", behavior:"instant"})', stage)
    held = (
        ActionChains(driver) .move_to_element_with_offset(stage, -20, -30)
        .click_and_hold())
    held.move_by_offset(30, 25).release().perform()
    # The throw is taken up when the pointer is let go, however long the forecast takes
    # then
    if not until(lambda: state() != 'ready', 5):
        return [f'a throw does nothing: {find(".say").text}']
    until(lambda: state() in ('done','failed'), 120)
    if state()!='done': return [f'a throw comes to no forecast: {find(".say").text}']
    return [
        *compare_throw(js),
        *elsewhere(
            js("return performance.getEntriesByType('resource').map(e => e.name)"), base
        )]

def compare_throw(js):
    "What the page shows of a throw, beside the forecast of the same frames in Python"
    import numpy as np
    import torch
    from convlstm_nb.pretrained import shipped_model
    last = js(
        'const t = throwShape.last(); return {known: [...t.known], expected: '
        '[...t.expected], horizon: t.horizon}')
    known = torch.tensor(last['known'])
    side  = js("return document.querySelector('#throw .happens').width")
    want = (
        shipped_model() .predict(known.view(1, -1, 1, side, side), last['horizon'])
        .flatten() .numpy())
    off   = np.abs(np.array(last['expected']) - want).max()
    if not off < 1e-3: yield f'the forecast differs from that in Python by {off:.2g}'
    context = len(known)//side**2
    for lead in (1, last['horizon']):
        pixels = js(
            """const when = document.querySelector('#throw .when'), c = document.querySelector('#throw .expects')
            when.value = arguments[0]; when.dispatchEvent(new Event('input'))
            return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i%4==0)""",
            context + lead - 1,
        )
        frame = want[(lead-1)*side**2:lead*side**2]
        if np.std(pixels) < 5: yield f'nothing is to be seen of the forecast, +{lead}'
        if np.abs(np.array(pixels) - 255 * frame).max() > 1:
            yield f'the pixels are not those of the forecast, +{lead}'

def site_pages(root):
    "The pages under `root` that a reader finds"
    pages = {p.relative_to(root).as_posix() for p in root.rglob('*.html')}
    return {p for p in pages if not p.startswith('site_libs/') and p!='404.html'}

def check_pages(driver, root, base, site_url, pages, shots=None):
    "What there is to say of the `pages`, each by itself and all together"
    problems,results = [],{}
    for page in sorted(pages):
        said,results[page] = probe(driver, base, page, shots)
        problems += said
    return [
        *problems, *check_links(root, results, base, site_url),
        *check_weight(root, results, base), *check_edits(results), *check_llms(root),
        *check_lookup(results), *check_search(driver, base)]

def check(driver, root, site_url, shots=None):
    "All problems of the site in `root`"
    base = serve(root)
    return check_pages(
        driver, root, base, site_url, site_pages(root), shots
    ) + check_throw(driver, root, base, shots)

dot = 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=='
# What is planted in a page, and what has to be said of it
plants = [
    ('<script>undefinedFunction()</script>', 'console error', 'undefinedFunction'),
    ('<p>the state \\sigma</p>', 'raw TeX', '\\sigma'),
    ('<p>the sum $x+y$ of both</p>', 'raw TeX', '$x+y$'),
    ('<p>a \\(z, never closed</p>', 'raw TeX', '(z, never'),
    ('<p>::: {.callout-note}</p>', 'raw Markdown', 'callout'),
    (
        '<pre>x, # a [`cell`](/cell.html#cell)</pre>',
        'link inside of code',
        '/cell.html',
    ),
    ('<span class="math inline">unset</span>', 'equation not set', 'unset'),
    ('<span class="katex-error">wrong</span>', 'equation in error', 'wrong'),
    ('<img src="nothing.png" alt="x">', 'picture missing', 'nothing.png'),
    (f'<img src="{dot}">', 'picture without alt', 'data:image'),
    ('<a href="nothing.html">x</a>', 'dead link', 'nothing.html'),
    ('<p id="twice">x</p><p id="twice">y</p>', 'duplicate id', 'twice'),
    ('<a href="#no-such-place">x</a>', 'dead anchor', 'no-such-place'),
    (
        '<div style="width:3000px">x</div>', 'wider than the page (desktop and phone)',
        '3000px'),
    ('<div style="width:600px">x</div>', 'wider than the page (phone)', '600px'),
    ('<p style="color:#999;background:#fff">faint</p>', 'contrast in light', 'faint'),
    ('<p style="color:#555;background:#111">dim</p>', 'contrast in dark', 'dim'),
    ('<p style="font-size:5px">small</p>', 'overlong line (desktop', 'small'),
    (
        '<img src="http://127.0.0.2:9/far.png" alt="x">', 'loaded from elsewhere',
        'far.png'),
    (
        '<a href="https://github.com/x/x/edit/main/nbs/no.ipynb">x</a>',
        'dead edit link', 'nbs/no.ipynb'),
]
# What is done to a page, and what has to be said of it
faults = [
    (lambda s: re.sub(r'(?s)<h1.*?</h1>', '', s), 'no heading 1', ''),
    (lambda s: s.replace('/edit/', '/tree/'), 'no edit link', ''),
    (lambda s: s.replace('og:image"', 'og:no"'), 'no og:image', ''),
    (lambda s: s.replace('card.png', 'no.png'), 'dead link', 'no.png'),
    (
        lambda s: s.replace('Reference|Contribute', 'Nothing'), 'not folded',
        'sidebar-section'),
    (
        lambda s: s.replace('bar.scrollTop', 'bar.nothing').replace(
            '</head>',
            '<style>.sidebar-link.active { position: relative; top: 9999px }</style></head>'),
        'not in view in the sidebar', 'Install'),
    (lambda s: s + f'<!-- {"x" * int(weight)} -->', 'heavier than', ''),
    (
        lambda s: s.replace('smalldocs.js', 'nothing.js'), 'contrast in light',
        'does not change its theme'),  # it begins dark, and stays so
]
# What is to be said of the site around them, in which nothing is found, listed or
# linked to
around = [
    ('index.html', 'search', 'nothing found'),
    ('index.html', 'search', 'leads to planted.html'),
    ('llms.txt', 'leaves out', 'cell.html'),
    ('layers.llms.md', 'a picture inside', ''),
    ('planted.html', 'the sidebar leaves out', 'fault0.html'),
    ('no page links to', 'pytorch.org', ''),
]
# What is replaced in the script that runs a model, by what, and what has to be said of
# it
throw_breaks = [
    ('ort.wasm.bundle.min.mjs', 'no.mjs', 'the model does not start'),
    ("$('.happens'), at =>", "$('.expects'), at =>", 'a throw does nothing'),
    ("'float32', known,", "'float32', known.slice(1),", 'a throw comes to no forecast'),
    ("'float32', known,", "'float32', known.map(v => v/2),", 'the forecast differs'),
    ('Math.round(255*frame[i])', '0', 'nothing is to be seen'),
    ('Math.round(255*frame[i])', '230*frame[i]', 'the pixels are not those')]

def break_pages(driver, copy, site_url):
    """Break pages in the `copy` of a site; yield what has to be said of each, and
    what is said"""
    base, good = (
        serve(copy), (copy / 'index.html') .read_text(encoding='utf-8')
        .replace('pytorch.org', 'example.org'))
    pages = {
        'planted.html': good.replace(
            '</main>', ''.join(html for html, *_ in plants) + '</main>'),
        **{f'fault{i}.html': f(good) for i, (f, *_) in enumerate(faults)}}
    one = dict(href='planted.html', title='install', section='', text='install')
    llms = '\n'.join(['', *(p.replace('.html', '.llms.md') for p in site_pages(copy))])
    others = {
        'search.json': json.dumps([one]), 'layers.llms.md': f'![x](data:x;base64,{"A"*99})',
        'llms.txt': llms.replace('\ncell.', '\n')}
    for page, text in {**pages, **others}.items():
        (copy / page).write_text(text, encoding='utf-8')
    said = check_pages(driver, copy, base, site_url, pages)
    wanted = (
        [('planted.html', *o) for _, *o in plants]
        + [(f'fault{i}.html', *o) for i, (_, *o) in enumerate(faults)] + around)
    for page, kind, which in wanted:
        yield (
            f'{page} {kind} {which}',
            [o for o in said if o.startswith(page) and kind in o and which in o])

def break_throws(driver, copy):
    """Break the script that runs a model in each way; yield what has to be said, and
    what is said"""
    base,script = serve(copy),(copy/throw_page).with_name('throw')/'throw.js'
    good = script.read_text(encoding='utf-8')
    for old, new, what in throw_breaks:
        assert old in good, old
        script.write_text(good.replace(old, new), encoding='utf-8')
        driver.execute_cdp_cmd('Network.clearBrowserCache', {})
        yield (
            what,
            [
                o
                for o in check_throw(
                    driver, copy, base, widths={'desktop': widths['desktop']})
                if what in o])

def unnoticed_breaks(driver, root, site_url):
    "Break a copy of the site in each way, and return the ways that went unnoticed"
    unnoticed = []
    with tempfile.TemporaryDirectory() as tmp:
        copy = Path(shutil.copytree(root, Path(tmp)/'site'))
        for what, found in [
            *break_pages(driver, copy, site_url), *break_throws(driver, copy)]:
            print(
                f"{'noticed  ' if found else 'UNNOTICED'}  "
                f"{found[0][:120] if found else what}")
            if not found:
                unnoticed.append(what)
    return unnoticed

@call_parse
def main(
    site:str='',  # Folder of the built site; `_docs` if not given
    screenshots:str='',  # Folder for a picture of each whole page
    self_test:bool=False,  # Check instead that each kind of problem is noticed?
):
    "Check the built site in Chromium"
    cfg = ConfigParser(delimiters='=')
    cfg.read(top/'settings.ini')
    cfg = cfg['DEFAULT']
    root = Path(site or top/cfg['doc_path']).resolve()
    if not (root / 'index.html').exists():
        sys.exit(
            f'no index.html in {root}: build the site first, with python tools/site.py')
    site_url = cfg['doc_host'] + cfg['doc_baseurl']
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = browser(profile)
        try:
            problems = (
                unnoticed_breaks(driver, root, site_url) if self_test
                else check(driver, root, site_url, shots=screenshots))
        finally:
            driver.quit()
    for o in problems: print(o)
    n = len(site_pages(root))
    if problems: sys.exit(f'{len(problems)} problems in {n} pages')
    print(
        'every kind of problem is noticed' if self_test else f'no problem in {n} pages')
