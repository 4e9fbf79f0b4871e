// Shows the picture of the grid, fits it to its place, zooms to where something happens and reports clicks. What is
// drawn, and in which colours, is the server's: of a new picture only what changed is taken over.
const MOST_ZOOM = 3.4, SECONDS = 0.9, LETTERS_ASIDE = 4.6, LETTERS_ABOVE = 1.7, MOST_STRETCH = 2.1, TAG_ASIDE = 9, TAG_ABOVE = 3.4;
const WIDE_PX = 1900, NARROW_PX = 520, NARROW_ASIDE_PX = 10;
const known = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  let own = known.get(parentElement);
  if (!own) known.set(parentElement, (own = new Picture(parentElement)));
  own.report = data.opens ? (what) => setTriggerValue("opened", what) : () => {};
  own.show(data);
  return () => { own.leave(); known.delete(parentElement); };
}

class Picture {
  constructor(parent) {
    this.stage = parent.querySelector(".stage");
    this.tip = parent.querySelector(".tip");
    this.legend = parent.querySelector(".legend");
    this.said = parent.querySelector(".said");
    this.button = parent.querySelector("button");
    this.chosen = undefined; // a box somebody clicked, null for the whole, undefined to follow the events
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.button.onclick = () => { this.chosen = this.chosen === undefined && this.box() ? null : undefined; this.go(); };
    this.stage.onclick = (event) => this.clicked(event.target);
    this.stage.onpointermove = (event) => this.point(event);
    this.stage.onpointerleave = () => { this.tip.hidden = true; };
    this.sized = new ResizeObserver(() => this.go(true));
    this.sized.observe(this.stage);
    this.onResize = () => { if (this.asked) { this.resize(); this.go(true); } };
    window.addEventListener("resize", this.onResize);
  }

  leave() {
    this.sized.disconnect();
    window.removeEventListener("resize", this.onResize);
    cancelAnimationFrame(this.frame);
  }

  // As high as was asked for, or to the lower edge of the window; letters as large as the window allows, 12 px at least.
  resize() {
    const { height, letters, below } = this.asked, frame = this.stage.parentElement;
    const top = frame.getBoundingClientRect().top + (document.querySelector(".stMain")?.scrollTop ?? 0);
    const tall = below === null ? height : Math.max(height, window.innerHeight - top - below);
    this.share = Math.min(1, Math.max(12 / letters, window.innerWidth / WIDE_PX));
    this.letters = letters * this.share;
    frame.style.cssText = `height:${tall}px;--letters:${this.letters}px`;
  }

  show(data) {
    const focus = JSON.stringify(data.focus);
    if (this.focusText !== undefined && focus !== this.focusText) this.chosen = undefined;
    this.focusText = focus;
    this.focus = data.focus;
    this.asked = data;
    this.resize();
    if (data.svg !== this.drawn) {
      const next = new DOMParser().parseFromString(data.svg, "image/svg+xml").documentElement;
      next.removeAttribute("viewBox");
      const same = this.svg && this.svg.dataset.layout === next.dataset.layout;
      if (same) take(this.svg, next, true);
      else { this.svg = document.importNode(next, true); this.stage.replaceChildren(this.svg); this.view = undefined; }
      this.drawn = data.svg;
    }
    this.key(data.legend);
    if (this.said.textContent !== data.said) this.said.textContent = data.said;
    this.go();
  }

  key(entries) {
    const text = JSON.stringify(entries);
    if (text === this.keyText) return;
    this.keyText = text;
    this.legend.replaceChildren(...entries.map(([symbol, words]) => {
      const entry = document.createElement("span");
      entry.innerHTML = '<svg viewBox="-9 -9 18 18" aria-hidden="true"><use/></svg>';
      entry.querySelector("use").setAttribute("href", `#${symbol}`);
      entry.append(words);
      return entry;
    }));
  }

  clicked(target) {
    const meter = target.closest("[data-meter]"), feeder = target.closest("[data-feeder]");
    if (meter) this.report({ meter: meter.dataset.meter });
    else if (feeder) {
      this.chosen = feeder.dataset.box.split(" ").map(Number);
      this.report({ feeder: feeder.dataset.feeder });
      this.go();
    }
  }

  point(event) {
    const meter = event.target.closest("[data-meter]"), feeder = event.target.closest("[data-feeder]");
    this.tip.hidden = !meter && !feeder;
    if (this.tip.hidden) return;
    this.tip.textContent = meter ? meter.dataset.note : feeder.dataset.feeder;
    const place = this.stage.getBoundingClientRect();
    const x = event.clientX - place.left, left = x > place.width / 2;
    this.tip.style.cssText = `top:${event.clientY - place.top + 14}px;${left ? "right" : "left"}:${left ? place.width - x : x + 10}px`;
  }

  box() { return this.chosen !== undefined ? this.chosen : this.focus; }

  // Scale and shift that show the whole, or as much as MOST_ZOOM allows around a box.
  wanted() {
    const { width, height } = this.stage.getBoundingClientRect();
    const [x0, y0, x1, y1] = this.svg.dataset.whole.split(" ").map(Number);
    const tags = this.svg.querySelector(".tag") !== null;
    let aside = Math.min((tags ? TAG_ASIDE : LETTERS_ASIDE) * this.letters, width / 5), above = LETTERS_ABOVE * this.letters;
    let sx = Math.max(width - 2 * aside, 1) / (x1 - x0), sy = Math.max(height - 2 * above, 1) / (y1 - y0);
    [sx, sy] = [Math.min(sx, sy * MOST_STRETCH), Math.min(sy, sx * MOST_STRETCH)];
    let zoom = 1, middle = [(x0 + x1) / 2, (y0 + y1) / 2];
    const box = this.box();
    if (box) {
      const wide = Math.max(box[2] - box[0], 1) * sx, tall = Math.max(box[3] - box[1], 1) * sy;
      aside = Math.min(TAG_ASIDE * this.letters, width / 4);
      above = TAG_ABOVE * this.letters;
      zoom = Math.min(MOST_ZOOM, Math.max(1, Math.min((width - 2 * aside) / wide, (height - 2 * above) / tall)));
      middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    }
    const inside = (at, low, high, scale, size, margin) => {
      const half = (size / 2 - margin) / scale;
      return high - low <= 2 * half ? (low + high) / 2 : Math.min(Math.max(at, low + half), high - half);
    };
    const x = inside(middle[0], x0, x1, sx * zoom, width, aside), y = inside(middle[1], y0, y1, sy * zoom, height, above);
    return [sx * zoom, sy * zoom, width / 2 - x * sx * zoom, height / 2 - y * sy * zoom, zoom];
  }

  go(atOnce = false) {
    if (!this.svg) return;
    const to = this.wanted(), from = this.view;
    this.button.hidden = !this.focus && this.chosen === undefined;
    this.button.textContent = this.box() ? "Whole territory" : "Follow the event";
    if (from && this.to && to.every((value, place) => Math.abs(value - this.to[place]) < 1e-3) && !atOnce) {
      if (!this.moving) this.set(to); // new tags may have come
      return;
    }
    this.to = to;
    cancelAnimationFrame(this.frame);
    if (!from || atOnce || this.calm.matches) { this.moving = false; return this.set(to); }
    const began = performance.now();
    this.moving = true;
    const step = (now) => {
      const share = Math.min((now - began) / 1000 / SECONDS, 1), eased = share * share * (3 - 2 * share);
      this.set(to.map((value, place) => from[place] + (value - from[place]) * eased));
      if (share < 1) this.frame = requestAnimationFrame(step);
      else this.moving = false;
    };
    this.frame = requestAnimationFrame(step);
  }

  set([sx, sy, tx, ty, zoom]) {
    this.view = [sx, sy, tx, ty, zoom];
    const world = this.svg.querySelector(".world"), mark = Math.sqrt(zoom) * Math.min(1.6, Math.max(0.6, this.stage.clientWidth / 800));
    world.setAttribute("transform", `matrix(${sx} 0 0 ${sy} ${tx} ${ty})`);
    const sizes = { ux: this.share / sx, uy: this.share / sy, mx: mark / sx, my: mark / sy, letters: `${this.asked.letters}px` };
    for (const [name, value] of Object.entries(sizes)) this.svg.style.setProperty(`--${name}`, value);
    this.svg.classList.toggle("near", zoom > 1.8);
    this.keepInside(sx, sy, tx, ty);
  }

  // No name leaves the frame, and no tag lies on another one.
  keepInside(sx, sy, tx, ty) {
    const { width, height } = this.stage.getBoundingClientRect(), taken = [];
    for (const group of this.svg.querySelectorAll(".tag, .named")) {
      const inner = group.firstElementChild, tag = group.classList.contains("tag");
      let [x, y, w, h] = ["x", "y", "w", "h"].map((name) => inner.dataset[name] * this.share);
      const ax = group.style.getPropertyValue("--x") * sx + tx, ay = group.style.getPropertyValue("--y") * sy + ty;
      const seen = tag || (0 <= ax && ax <= width && 0 <= ay && ay <= height);
      const left = seen ? Math.min(Math.max(ax + x, 3), Math.max(width - w - 3, 3)) : ax + x;
      if (tag && width < NARROW_PX) y = y < -0.8 * h ? y : NARROW_ASIDE_PX; // under the street's end, not over it
      let top = seen ? Math.min(Math.max(ay + y, 3), Math.max(height - h - 3, 3)) : ay + y;
      for (const other of tag ? taken : [])
        if (left < other.left + other.w && other.left < left + w && top < other.top + other.h && other.top < top + h)
          top = other.top + other.h + 3 + h <= height ? other.top + other.h + 3 : other.top - h - 3;
      if (tag) taken.push({ left, top, w, h });
      inner.setAttribute("transform", `translate(${(left - ax) / this.share} ${(top - ay) / this.share})`);
    }
  }
}

// Makes `old` what `next` is, and leaves alone what is the same, so that nothing blinks and animations go on.
function take(old, next, root = false) {
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== next.data) old.data = next.data; return; }
  for (const { name, value } of next.attributes) {
    if (root && name === "style") continue;
    if (name === "transform" && (old.classList.contains("world") || old.classList.contains("nudge"))) continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  const were = [...old.childNodes], are = [...next.childNodes];
  if (were.length !== are.length || were.some((one, place) => one.nodeName !== are[place].nodeName))
    old.replaceChildren(...are.map((one) => document.importNode(one, true)));
  else were.forEach((one, place) => take(one, are[place]));
}
