"Open every page of the built site in Chromium, at desktop and phone width, and report what a reader would stumble over."
import json, re, shutil, sys, tempfile, threading, time
from base64 import b64decode
from configparser import ConfigParser
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse
from fastcore.script import call_parse
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.chrome.service import Service

top    = Path(__file__).parent.parent
widths = {'desktop': 1280, 'phone': 390}
weight = 1.5*2**20 # of a page with all that it loads, in bytes
flags = '''--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
           --disable-component-update --disable-sync --hide-scrollbars'''.split()

# What is looked at inside of a page: {kind of problem: [each one found]}, and what the links check needs
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
    'no edit link':        all('a[href*="/edit/"]').length ? [] : [document.title],
  },
  links: all('a[href]').map(e => e.href),
  edits: all('a[href*="/edit/"]').map(e => e.href),
  loaded: performance.getEntriesByType('resource').map(e => e.name),
  sidebar: all('#quarto-sidebar a[href]').map(e => e.href),
  ids: all('[id]').map(e => e.id).concat(all('a[name]').map(e => e.name)),
  height: document.documentElement.scrollHeight,
}'''
# Text that stands out too little from what is behind it, by the Web Content Accessibility Guidelines 2.2, level AA
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

class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

def serve(root):
    "Serve the folder `root` from a thread"
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f'http://127.0.0.1:{server.server_port}/'

def browser(profile):
    "Chromium, with a new `profile` folder"
    opts = webdriver.ChromeOptions()
    for f in [*flags, f'--user-data-dir={profile}']: opts.add_argument(f)
    opts.set_capability('goog:loggingPrefs', {'browser':'ALL'})
    opts.binary_location = next(filter(None, map(shutil.which, ['chromium', 'chromium-browser', 'google-chrome'])), None)
    if not opts.binary_location: sys.exit('no Chromium: install the packages chromium and chromium-driver')
    return webdriver.Chrome(options=opts, service=Service(shutil.which('chromedriver')))

def resize(driver, width, height=900):
    "Show the page as on a screen of `width` pixels; a window itself cannot be as narrow as a phone"
    size = dict(width=width, height=height, deviceScaleFactor=1, mobile=width<500)
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)

def wait(driver, timeout=15):
    "Wait for the pictures, and for the scripts that set the equations"
    end = time.time() + timeout
    while not driver.execute_script(ready_js) and time.time()<end: time.sleep(.05)
    driver.execute_async_script('requestAnimationFrame(() => setTimeout(arguments[0], 50))')

def screenshot(driver, path, width, height):
    "Write the whole page as a picture"
    resize(driver, width, min(height, 16000))
    shot = driver.execute_cdp_cmd('Page.captureScreenshot', {'format':'png'})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b64decode(shot['data']))

def low_contrast(driver):
    "For each theme, the text that is too faint"
    for theme in 'dark','light':
        driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features':[{'name':'prefers-color-scheme', 'value':theme}]})
        driver.execute_async_script('setTimeout(arguments[0], 250)') # colours change slowly
        yield theme, driver.execute_script(contrast_js)

def probe(driver, base, page, shots=None):
    "The problems of one `page`, and what it links to"
    problems, res = {}, None
    for name,width in widths.items():
        driver.get_log('browser')
        resize(driver, width)
        driver.get(base + page)
        wait(driver)
        res = driver.execute_script(probe_js)
        logs = [o['message'] for o in driver.get_log('browser') if o['level']=='SEVERE']
        contrast = {f'contrast in {theme}': found for theme,found in low_contrast(driver)}
        for kind,found in {**res['found'], **contrast, 'console error':logs}.items():
            for o in found: problems.setdefault((kind,o), []).append(name)
        if shots: screenshot(driver, Path(shots)/f"{page.replace('/','-')[:-5]}-{name}.png", width, res['height'])
    said = [f"{page}: {kind} ({' and '.join(at)}): {o}" for (kind,o),at in problems.items()]
    return said, res

def inner(url, base, site_url):
    "The page and anchor that `url` points at, if it is inside of the site"
    url,anchor = urldefrag(url)
    for b in (base, site_url+'/'):
        if (url+'/').startswith(b):
            path = unquote(urlparse(url[len(b):]).path)
            return (path+'index.html' if path=='' or path.endswith('/') else path), unquote(anchor)

def check_weight(root, results, base):
    "Report the pages that make a reader wait"
    for page,res in results.items():
        paths = {page, *(urlparse(u).path.lstrip('/') for u in res['loaded'] if u.startswith(base))}
        bytes = sum((root/unquote(p)).stat().st_size for p in paths if (root/unquote(p)).is_file())
        if bytes > weight: yield f'{page}: heavier than {weight/2**20:.1f} MiB: {bytes/2**20:.2f} MiB in {len(paths)} files'
        yield from (f'{page}: loaded from elsewhere: {u}' for u in res['loaded'] if not u.startswith((base,'data:','blob:')))

def check_edits(results):
    "Report the links to an editor that name no file of the repository"
    for page,res in results.items():
        for u in res['edits']:
            path = unquote(urlparse(u).path).split('/edit/main/')[-1]
            if not (top/path).is_file(): yield f'{page}: dead edit link: {path}'

def check_llms(root):
    "Report what llms.txt leaves out"
    path = root/'llms.txt'
    text = path.read_text(encoding='utf-8') if path.exists() else ''
    for page in sorted(site_pages(root)):
        copy = page.replace('.html', '.llms.md')
        if copy not in text or not (root/copy).is_file(): yield f'llms.txt: leaves out {page}'

docs = ['pytorch.org','fast.ai','numpy.org']
def check_lookup(results):
    "Report a library whose documentation no page links to"
    linked = {urlparse(u).netloc for res in results.values() for u in res['links']}
    for d in docs:
        if not any(host==d or host.endswith('.'+d) for host in linked): yield f'no page links to {d}'

def check_search(driver, root, base, word='peephole'):
    "Search for a word as a reader does, and follow what is found"
    resize(driver, widths['desktop'])
    driver.get(base + 'index.html')
    wait(driver)
    box = next((e for e in driver.find_elements(By.CSS_SELECTOR, '#quarto-search input') if e.is_displayed()), None)
    if box is None: return ['index.html: search: no box to write into']
    box.send_keys(word)
    found = until(lambda: driver.execute_script("return [...document.querySelectorAll('.search-result')].map(e => e.href)"), 10)
    if not found: return [f'index.html: search: nothing found for {word}']
    path = inner(found[0], base, base)[0]
    return [] if (root/path).is_file() and word in (root/path).read_text(encoding='utf-8').lower() else [f'index.html: search: {path}, which is found for {word}, has it not']

def until(f, timeout):
    "Wait until `f` returns something"
    end = time.time() + timeout
    while not (got := f()) and time.time()<end: time.sleep(.1)
    return got

def check_links(root, results, base, site_url):
    "Report the links that lead nowhere, and the pages that the sidebar leaves out"
    problems, ids = [], {}
    def anchors(page):
        if page not in ids:
            known = results.get(page)
            ids[page] = set(known['ids'] if known else re.findall(r'\b(?:id|name)="([^"]+)"', (root/page).read_text(encoding='utf-8')))
        return ids[page]
    for page,res in results.items():
        for url in sorted(set(res['links'])):
            to = inner(url, base, site_url)
            if not to: continue
            path,anchor = to
            if not (root/path).is_file(): problems.append(f'{page}: dead link: {path}')
            elif anchor and path.endswith('.html') and anchor not in anchors(path): problems.append(f'{page}: dead anchor: {path}#{anchor}')
        listed = {inner(u, base, site_url)[0] for u in res['sidebar'] if inner(u, base, site_url)}
        problems += [f'{page}: the sidebar leaves out {p}' for p in sorted(site_pages(root)-listed)]
    return problems

throw_page = 'explanations/throw_a_shape.html'
def check_throw(driver, root, base, shots=None):
    "Throw a shape on the page that runs a model in the browser, and compare what is seen with PyTorch's forecast"
    if not (root/throw_page).exists(): return [f'{throw_page}: absent']
    if not (root/throw_page).with_name('throw').joinpath('ort').exists(): return [f'{throw_page}: no ONNX Runtime beside it: run tools/ort.py before the site is built']
    js,state,said = driver.execute_script,lambda *s: js("return document.getElementById('throw').dataset.state") in s,lambda: js("return document.querySelector('#throw .say').textContent")
    for name,width in widths.items():
        resize(driver, width)
        driver.get(base + throw_page)
        wait(driver)
        driver.find_element(By.CSS_SELECTOR, '#throw .start').click()
        until(lambda: state('ready','failed'), 120)
        if not state('ready'): return [f'{throw_page}: the model does not start: {said()}']
        stage = driver.find_element(By.CSS_SELECTOR, '#throw .happens')
        js('arguments[0].scrollIntoView({block:"center"})', stage)
        ActionChains(driver).move_to_element_with_offset(stage, -20, -30).click_and_hold().move_by_offset(30, 25).release().perform()
        until(lambda: state('done'), 120)
        if not state('done'): return [f'{throw_page}: a throw does nothing: {said()}']
        if shots: screenshot(driver, Path(shots)/f'thrown-{name}.png', width, js('return document.documentElement.scrollHeight'))
        problems = [f'{throw_page} ({name}): {p}' for p in compare_throw(js)]
        if problems: return problems
        far = [u for u in js("return performance.getEntriesByType('resource').map(e => e.name)") if not u.startswith((base,'blob:','data:'))]
        if far: return [f'{throw_page}: loaded from elsewhere: {u}' for u in far]
    return []

def compare_throw(js):
    "What the page shows of a throw, beside the forecast of the same frames in Python"
    import numpy as np, torch
    from convlstm_nb.shipped import shipped_model
    last  = js('const t = throwShape.last(); return {known: [...t.known], expected: [...t.expected], horizon: t.horizon}')
    known = torch.tensor(last['known'])
    side  = js("return document.querySelector('#throw .happens').width")
    want  = shipped_model().predict(known.view(1,-1,1,side,side), last['horizon']).flatten().numpy()
    off   = np.abs(np.array(last['expected']) - want).max()
    if not off < 1e-3: yield f'the forecast differs from that in Python by {off:.2g}'
    context = len(known)//side**2
    for lead in (1, last['horizon']):
        pixels = js("""const when = document.querySelector('#throw .when'), c = document.querySelector('#throw .expects')
            when.value = arguments[0]; when.dispatchEvent(new Event('input'))
            return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i%4==0)""", context+lead-1)
        frame = want[(lead-1)*side**2:lead*side**2]
        if np.std(pixels) < 5: yield f'nothing is to be seen of the forecast, +{lead}'
        if np.abs(np.array(pixels) - 255*frame).max() > 1: yield f'the pixels are not those of the forecast, +{lead}'

def site_pages(root):
    "The pages under `root` that a reader finds"
    pages = {p.relative_to(root).as_posix() for p in root.rglob('*.html')}
    return {p for p in pages if not p.startswith('site_libs/') and p!='404.html'}

def check(driver, root, site_url, only=None, shots=None):
    "All problems of the site in `root`, or of the pages `only`"
    server,base = serve(root)
    problems,results = [],{}
    try:
        for page in sorted(only or site_pages(root)):
            said,results[page] = probe(driver, base, page, shots)
            problems += said
        problems += [*check_links(root, results, base, site_url), *check_weight(root, results, base), *check_edits(results), *check_llms(root)]
        if not only: problems += check_lookup(results)
        problems += check_search(driver, root, base)
        if not only or throw_page in only: problems += check_throw(driver, root, base, shots)
    finally: server.shutdown()
    return problems

# Each way to break a page, and what has to be reported for it
breaks = {
    '<script>undefinedFunction()</script>':                         'console error',
    '<p>the state \\sigma</p>':                                     'raw TeX',
    '<p>the sum $x+y$ of both</p>':                                 'raw TeX',
    '<p>a \\(z, never closed</p>':                                  'raw TeX',
    '<p>::: {.callout-note}</p>':                                   'raw Markdown',
    '<pre>x, # a [`cell`](/cell.html#cell)</pre>':                  'link inside of code',
    '<span class="math inline">x</span>':                           'equation not set',
    '<span class="katex-error">x</span>':                           'equation in error',
    '<img src="nothing.png" alt="x">':                              'picture missing',
    '<img src="{dot}">':                                            'picture without alt',
    '<a href="nothing.html">x</a>':                                 'dead link',
    '<a href="#no-such-place">x</a>':                               'dead anchor',
    '<div style="width:3000px">x</div>':                            'wider than the page (desktop and phone)',
    '<div style="width:600px">x</div>':                             'wider than the page (phone)',
    '<p style="color:#999;background:#fff">x</p>':                  'contrast in light',
    '<p style="color:#555;background:#111">x</p>':                  'contrast in dark',
    '<p style="font-size:5px">x</p>':                               'overlong line (desktop',
    '<!-- {much} -->':                                              'heavier than',
    '<img src="{far}" alt="x">':                                    'loaded from elsewhere',
    '<a href="https://github.com/x/x/edit/main/nbs/no.ipynb">x</a>': 'dead edit link',
}
dot = 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=='

def unnoticed_breaks(driver, root, site_url):
    "Break a copy of the first page in each way, and return the ways that went unnoticed"
    unnoticed = []
    with tempfile.TemporaryDirectory() as tmp:
        copy = Path(tmp)/'site'
        shutil.copytree(root, copy)
        page = copy/'index.html'
        good = page.read_text(encoding='utf-8')
        def expect(text, what):
            page.write_text(text, encoding='utf-8')
            found = [o for o in check(driver, copy, site_url, ['index.html']) if what in o]
            print(f"{'noticed  ' if found else 'UNNOTICED'}  {what}{': '+found[0][:100] if found else ''}")
            if not found: unnoticed.append(what)
        fill = {'{dot}':dot, '{much}':'x'*int(weight), '{far}':'http://127.0.0.2:9/x.png'}
        for html,what in breaks.items():
            for k,v in fill.items(): html = html.replace(k, v)
            expect(good.replace('</main>', html+'</main>'), what)
        expect(re.sub(r'(?s)<h1.*?</h1>', '', good), 'no heading 1')
        expect(good.replace('/edit/', '/tree/'), 'no edit link')
        for name,what in {'search.json':'search: nothing found', 'llms.txt':'llms.txt: leaves out'}.items():
            kept = (copy/name).read_bytes()
            (copy/name).write_text('[]' if name.endswith('json') else '')
            expect(good, what)
            (copy/name).write_bytes(kept)
        unnoticed += unnoticed_throws(driver, copy, site_url)
        (copy/'unlisted.html').write_text(good, encoding='utf-8')
        expect(good, 'the sidebar leaves out unlisted.html')
    return unnoticed

# Each way to break the page that runs a model: a file, what is replaced there by what, and what has to be reported
throw_breaks = [
    ('throw.js', 'ort.wasm.bundle.min.mjs', 'no.mjs',             'the model does not start'),
    ('throw.js', "$('.happens'), at =>",    "$('.expects'), at =>", 'a throw does nothing'),
    ('throw.js', "'float32', known,",       "'float32', known.map(v => v/2),", 'the forecast differs'),
    ('throw.js', 'Math.round(255*frame[i])', '0',                 'nothing is to be seen'),
    ('throw.js', 'Math.round(255*frame[i])', '230*frame[i]',      'the pixels are not those'),
]
def unnoticed_throws(driver, copy, site_url):
    "Break the page that runs a model in each way"
    folder,unnoticed = (copy/throw_page).with_name('throw'),[]
    server,base = serve(copy)
    for name,old,new,what in throw_breaks:
        good = (folder/name).read_text(encoding='utf-8')
        assert old in good, old
        (folder/name).write_text(good.replace(old, new), encoding='utf-8')
        driver.execute_cdp_cmd('Network.clearBrowserCache', {})
        found = [o for o in check_throw(driver, copy, base) if what in o]
        print(f"{'noticed  ' if found else 'UNNOTICED'}  {what}{': '+found[0][:100] if found else ''}")
        if not found: unnoticed.append(what)
        (folder/name).write_text(good, encoding='utf-8')
    server.shutdown()
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
    if not (root/'index.html').exists(): sys.exit(f'no index.html in {root}: build the site first, with python tools/site.py')
    site_url = cfg['doc_host'] + cfg['doc_baseurl']
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = browser(profile)
        try: problems = unnoticed_breaks(driver, root, site_url) if self_test else check(driver, root, site_url, shots=screenshots)
        finally: driver.quit()
    for o in problems: print(o)
    n = len(site_pages(root))
    if problems: sys.exit(f'{len(problems)} problems in {n} pages')
    print('every kind of problem is noticed' if self_test else f'no problem in {n} pages')
