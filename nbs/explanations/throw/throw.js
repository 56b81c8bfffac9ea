// A reader throws a shape, and a model forecasts where it goes. All of it happens in the browser:
// ONNX Runtime and the model come from the folder of this file, and only when they are asked for.

const root = document.getElementById('throw')
const {size, context, fastest, shapes} = JSON.parse(root.querySelector('script[type="application/json"]').textContent)
const $ = s => root.querySelector(s), side = Math.sqrt(atob(shapes[0].pixels).length), room = size - side
const file = name => new URL(name, import.meta.url).href
const still = matchMedia('(prefers-reduced-motion: reduce)').matches
let session, ort, shape, thrown, shown = 0, timer

// ---- The model

async function load() {
  ort = await import(file('ort/ort.wasm.bundle.min.mjs'))
  Object.assign(ort.env.wasm, {numThreads: 1, wasmPaths: {wasm: file('ort/ort-wasm-simd-threaded.wasm')}})
  session = await ort.InferenceSession.create(file('model.onnx'), {executionProviders: ['wasm']})
}

async function forecast(known, horizon) { // known frames one after the other, each row by row
  const frames = new ort.Tensor('float32', known, [1, known.length/size**2, 1, size, size])
  const ahead  = new ort.Tensor('int64', BigInt64Array.of(BigInt(horizon)), [])
  return (await session.run({frames, horizon: ahead})).forecast.data
}

// ---- The world: a shape flies straight on, and bounces off walls that nobody sees

const fold = (x, room) => (x = ((x % (2*room)) + 2*room) % (2*room), x > room ? 2*room - x : x)

function draw(pixels, row, col, into) {
  for (let r = 0; r < side; r++) for (let c = 0; c < side; c++) into[(row+r)*size + col+c] = pixels[r*side + c]
}

function fly(pixels, start, velocity, steps) {
  const film = new Float32Array(steps*size**2)
  for (let t = 0; t < steps; t++) {
    const [row, col] = [0, 1].map(i => Math.round(fold(start[i] + velocity[i]*t, room)))
    draw(pixels, row, col, film.subarray(t*size**2, (t+1)*size**2))
  }
  return film
}

async function throwIt(start, velocity) {
  clearTimeout(timer)
  say(`The model looks at ${context} frames …`)
  root.dataset.state = 'thinking'
  await new Promise(done => setTimeout(done, 30)) // so that this is seen
  const horizon = +$('.ahead').value, all = fly(shape, start, velocity, context+horizon), began = performance.now()
  if ($('.second').checked) { // where both are, the brighter one is seen
    const other = shapes[Math.floor(shapes.length*Math.random())].shape
    fly(other, [room*Math.random(), room*Math.random()], anyWay(), context+horizon).forEach((v, i) => { all[i] = Math.max(all[i], v) })
  }
  const known = all.slice(0, context*size**2), future = all.slice(context*size**2)
  const expected = await forecast(known, horizon).catch(failed), ms = performance.now() - began
  if (!expected) return
  const last = known.subarray(-(size**2)), off = f => Math.sqrt(future.reduce((s, y, i) => s + (f(i) - y)**2, 0)/future.length)
  const own = off(i => expected[i]), frozen = off(i => last[i % size**2]), speed = Math.hypot(...velocity)
  thrown = {known, future, expected, horizon}
  say(`Thrown at ${speed.toFixed(1)} pixels a frame. ${horizon} frames forecast in ${ms.toFixed(0)} ms: off by ${own.toFixed(2)} (root mean square), ` +
      `where the last known frame, shown again, is off by ${frozen.toFixed(2)}.` +
      (speed > fastest + .05 ? ` In training nothing flew faster than ${fastest}.` : ''))
  $('.when').max = context + horizon - 1
  drawStrip()
  root.dataset.state = 'done'
  play(true)
}

function failed(e) {
  root.dataset.state = 'failed'
  say(`The forecast failed (${e.message || e}).`)
}

// ---- What is shown

function paint(canvas, frame, at = 0) {
  const ctx = canvas.getContext('2d', {willReadFrequently: true}), image = ctx.createImageData(size, size)
  for (let i = 0; i < size**2; i++) image.data.set([0, 1, 2].map(() => Math.round(255*frame[i])).concat(255), 4*i)
  ctx.putImageData(image, at[0] || 0, at[1] || 0)
}

const frameOf = (film, t) => film.subarray(t*size**2, (t+1)*size**2)
const pair = t => t < context ? [frameOf(thrown.known, t), frameOf(thrown.known, t)]
                              : [frameOf(thrown.future, t-context), frameOf(thrown.expected, t-context)]

function show(t) {
  const [happens, expects] = pair(shown = t), ahead = t - context + 1
  paint($('.happens'), happens)
  paint($('.expects'), expects)
  const text = ahead > 0 ? `forecast, +${ahead}` : `known frame ${t+1} of ${context}`
  $('.expects').parentElement.parentElement.classList.toggle('forecast', ahead > 0)
  $('.seen').textContent = ahead > 0 ? 'What the model expects' : 'What the model is shown'
  $('.when').value = t
  $('.when').setAttribute('aria-valuetext', text)
  $('.now').textContent = text
  $('.strip i').style.cssText = `left: ${100*t/(context+thrown.horizon)}%; width: ${100/(context+thrown.horizon)}%`
}

function drawStrip() {
  const n = context + thrown.horizon, strip = $('.strip canvas'), gap = 2
  strip.width = n*(size+gap) - gap
  strip.height = 2*size + gap
  for (let t = 0; t < n; t++) pair(t).forEach((f, row) => (row && t < context) || paint(strip, f, [t*(size+gap), row*(size+gap)]))
}

function play(on) {
  clearTimeout(timer)
  $('.play').textContent = on ? '❚❚' : '▶'
  $('.play').setAttribute('aria-label', on ? 'Pause' : 'Play')
  const last = context + thrown.horizon - 1
  const next = t => { show(t); timer = setTimeout(next, t == last ? 1200 : 150, t == last ? 0 : t+1) }
  if (on && still && root.dataset.state == 'done') { $('.play').textContent = '▶'; show(last) } // who wants no motion gets none unasked
  else if (on) next(shown >= last ? 0 : shown)
}

const say = text => { $('.say').textContent = text }

// ---- What is thrown: a shape from the list, or one drawn

function choose(button) {
  root.querySelectorAll('.shapes button').forEach(b => b.setAttribute('aria-pressed', b == button))
  $('.drawing').hidden = !button.matches('.own')
  shape = button.matches('.own') ? drawn() : button.shape
  rest()
}

function rest(start = [room/2, room/2]) { // the shape before it flies
  clearTimeout(timer)
  const frame = new Float32Array(size**2)
  draw(shape, ...start.map(Math.round), frame)
  paint($('.happens'), frame)
}

function drawn() { // what is on the pad, each pixel the mean of its part
  const pad = $('.pad'), k = pad.width/side, ink = pad.getContext('2d').getImageData(0, 0, pad.width, pad.width).data
  const out = new Float32Array(side**2)
  for (let y = 0; y < pad.width; y++) for (let x = 0; x < pad.width; x++) out[Math.floor(y/k)*side + Math.floor(x/k)] += ink[4*(y*pad.width + x)]/255/k**2
  return out
}

function drag(canvas, start, move, end) { // positions in pixels of the canvas
  let first
  const at = e => { const b = canvas.getBoundingClientRect(); return [(e.clientY-b.top)*canvas.height/b.height, (e.clientX-b.left)*canvas.width/b.width] }
  canvas.addEventListener('pointerdown', e => { canvas.setPointerCapture(e.pointerId); first = at(e); start(first) })
  canvas.addEventListener('pointermove', e => first && move(first, at(e)))
  canvas.addEventListener('pointerup', e => { if (first) end(first, at(e)); first = null })
  canvas.addEventListener('pointercancel', () => { first = null; arrow() })
}

function arrow(from, to) {
  $('.arrow').style.display = from ? '' : 'none'
  if (from) ['y1', 'x1', 'y2', 'x2'].forEach((k, i) => $('.arrow line').setAttribute(k, [...from, ...to][i]))
}

const corner = at => at.map(x => Math.min(Math.max(x - side/2, 0), room))
const pace = (from, to) => { // a quarter of what was dragged, a frame; half as fast again as in training at the most
  const v = from.map((x, i) => (to[i]-x)/4), speed = Math.hypot(...v), most = 1.5*fastest
  return speed > most ? v.map(x => x*most/speed) : v
}
const anyWay = () => { const a = 2*Math.PI*Math.random(), v = fastest*(.6 + .4*Math.random()); return [v*Math.sin(a), v*Math.cos(a)] }

function listen() {
  drag($('.happens'), at => { $('.happens').focus(); rest(corner(at)) }, arrow, (from, to) => {
    arrow()
    throwIt(corner(from), Math.hypot(to[0]-from[0], to[1]-from[1]) < 1 ? anyWay() : pace(from, to))
  })
  const ways = {ArrowUp: [-1, .3], ArrowDown: [1, .3], ArrowLeft: [.3, -1], ArrowRight: [.3, 1]}
  $('.happens').addEventListener('keydown', e => {
    if (e.key == 'Enter' || e.key == ' ') throwIt([room/2, room/2], anyWay())
    else if (ways[e.key]) throwIt([room/2, room/2], ways[e.key].map(v => .8*fastest*v))
    else return
    e.preventDefault()
  })
  $('.any').onclick = () => throwIt([room*Math.random(), room*Math.random()], anyWay())
  $('.when').oninput = e => { if (thrown) { play(false); show(+e.target.value) } }
  $('.play').onclick = () => { if (thrown) { root.dataset.state = 'played'; play($('.play').textContent == '▶') } }
  $('.strip').onclick = e => { if (thrown) { play(false); show(Math.min(context+thrown.horizon-1, Math.floor(e.offsetX/$('.strip canvas').clientWidth*(context+thrown.horizon)))) } }
  const pad = $('.pad'), pen = pad.getContext('2d', {willReadFrequently: true})
  const clear = () => { pen.fillStyle = '#000'; pen.fillRect(0, 0, pad.width, pad.width) }
  const stroke = (from, to) => { pen.beginPath(); pen.moveTo(from[1], from[0]); pen.lineTo(to[1], to[0]); pen.stroke(); shape = drawn(); rest() }
  let last
  Object.assign(pen, {lineWidth: pad.width/side*1.8, lineCap: 'round', strokeStyle: '#fff'})
  clear()
  drag(pad, at => stroke(last = at, at), (_, at) => { stroke(last, at); last = at }, () => {})
  $('.clear').onclick = () => { clear(); shape = drawn(); rest() }
}

// ---- The page

const page = `
  <div class="shapes" role="group" aria-label="What to throw"></div>
  <div class="drawing" hidden><canvas class="pad" width="${8*side}" height="${8*side}" aria-label="Draw a shape here"></canvas>
    <button class="clear" type="button">Clear</button></div>
  <div class="stages">
    <figure><div><canvas class="happens" width="${size}" height="${size}" tabindex="0" role="button"
      aria-label="Throw the shape: drag it, or press an arrow key"></canvas><svg class="arrow" viewBox="0 0 ${size} ${size}" aria-hidden="true" style="display:none">
      <defs><marker id="tip" viewBox="0 0 6 6" refX="4" refY="3" markerWidth="4" markerHeight="4" orient="auto"><path d="M0 0 6 3 0 6z"/></marker></defs>
      <line marker-end="url(#tip)"/></svg></div><figcaption>What happens</figcaption></figure>
    <figure><div><canvas class="expects" width="${size}" height="${size}" role="img" aria-label="The forecast"></canvas></div><figcaption class="seen">What the model expects</figcaption></figure>
  </div>
  <div class="time"><button class="play" type="button" aria-label="Play">▶</button>
    <input class="when" type="range" min="0" max="${context+9}" value="0" aria-label="Frame"><output class="now">drag the shape</output></div>
  <div class="strip"><div><canvas role="img" aria-label="All frames: above what happens, below the forecast" width="1" height="1"></canvas><i></i></div></div>
  <div class="more"><button class="any" type="button">Throw it anywhere</button>
    <label>Frames ahead <select class="ahead"><option>5</option><option selected>10</option><option>20</option></select></label>
    <label><input class="second" type="checkbox"> with a second shape, at random</label></div>`

function build() {
  $('.app').innerHTML = page
  const buttons = shapes.map(s => {
    s.shape = Float32Array.from(atob(s.pixels), c => c.charCodeAt(0)/255)
    const b = Object.assign(document.createElement('button'), {type: 'button', title: s.name, shape: s.shape})
    const c = Object.assign(document.createElement('canvas'), {width: side, height: side}), ctx = c.getContext('2d'), image = ctx.createImageData(side, side)
    b.shape.forEach((v, i) => image.data.set([255*v, 255*v, 255*v, 255], 4*i))
    ctx.putImageData(image, 0, 0)
    b.setAttribute('aria-label', s.name)
    b.append(c)
    return b
  })
  buttons.push(Object.assign(document.createElement('button'), {type: 'button', className: 'own', textContent: 'Draw one'}))
  $('.shapes').append(...buttons)
  buttons.forEach(b => { b.onclick = () => choose(b) })
  listen()
  paint($('.expects'), new Float32Array(size**2))
  choose(buttons[0])
}

async function start() {
  root.dataset.state = 'loading'
  $('.start').disabled = true
  say('Loading …')
  try {
    await load()
    build()
    root.dataset.state = 'ready'
    $('.recorded').hidden = $('.start').hidden = true
    say('Drag the shape on the left, as far as it shall fly, and let go. Or press an arrow key.')
    $('.happens').focus({preventScroll: true})
  } catch (e) {
    root.dataset.state = 'failed'
    $('.start').disabled = false
    say(`It cannot run here (${e.message || e}). Below is a recording.`)
  }
}

root.dataset.state = 'off'
$('.start').hidden = false
$('.start').onclick = start
say('Nothing is loaded before you press the button, and nothing leaves your computer. Until then, here is a recording:')
window.throwShape = {forecast, throwIt: (...a) => throwIt(...a), last: () => thrown}
