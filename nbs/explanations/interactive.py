"Figures with a slider: an inline picture and a few lines of script."
from html import escape
from IPython.display import HTML

STYLE = '''
.slider { max-width: 34rem; margin: 1.2rem auto; text-align: center; }
.slider svg { display: block; width: 100%; height: auto; }
.slider label { display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: center; }
.slider input { flex: 1; min-width: 10rem; min-height: 2.2rem; }
.slider input { accent-color: var(--accent, currentColor); }
.slider output { display: block; min-height: 3.3em; text-align: left; }'''

def slider(
    id,         # Of the figure, unique on its page
    text,       # Label of the slider
    low, high, step, value, # Numbers
    picture,    # Inline SVG
    alt,        # What the picture shows
    caption,    # Below the figure
    said,       # Text for the first value
    script,     # Body of a function of `v`, the value, and `figure`; returns the text
):
    "Draw a figure that a slider changes; without scripts it shows the first value"
    control = (f'<input type="range" min="{low}" max="{high}" step="{step}" '
               f'value="{value}">')
    picture = picture.replace('<svg ', f'<svg role="img" aria-label="{escape(alt)}" ', 1)
    return HTML(f'''<style>{STYLE}</style>
<figure class="figure slider" id="{id}">
<label>{escape(text)} {control}</label>
<output>{escape(said)}</output>
{picture}
<figcaption>{escape(caption)}</figcaption>
</figure>
<script>(() => {{
const figure = document.getElementById('{id}')
const input = figure.querySelector('input'), output = figure.querySelector('output')
const change = v => {{
{script}
}}
const update = () => {{ output.textContent = change(Number(input.value)) }}
input.addEventListener('input', update)
update()
}})()</script>''')

def svg(width, height, *parts):
    "Inline picture in the colour of the text"
    shape = f'viewBox="0 0 {width} {height}" fill="currentColor"'
    return f'<svg {shape} stroke="none" font-size="2.7">' + ''.join(parts) + '</svg>'

def rect(x, y, w, h, opacity, **kw):
    "A rectangle; other names become its attributes, `data_age` that of `data-age`"
    more = ''.join(f' {k.replace("_", "-")}="{v}"' for k,v in kw.items())
    return (f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" '
            f'fill-opacity="{opacity:.3g}"{more}/>')

def text(x, y, words, anchor='middle'):
    "Words at a place"
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(str(words))}</text>'
