// The presenter's hotkeys: tells the server which key was pressed, and what the presenter saw then. `?` shows them.
const TYPED_INTO = "input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select, [contenteditable], [role=textbox]";
const DOUBLE_MS = 600; // a second press of a key within this time is a slip of the finger
const known = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  let own = known.get(parentElement);
  if (!own) known.set(parentElement, (own = new Hotkeys(parentElement)));
  own.show(data, (what) => setTriggerValue("pressed", what));
  return () => { own.leave(); known.delete(parentElement); };
}

class Hotkeys {
  constructor(parent) {
    this.list = parent.querySelector("dl");
    this.dialog = parent.querySelector("dialog");
    this.ask = parent.querySelector(".ask");
    this.ask.onclick = () => this.dialog.showModal();
    this.pressed = (event) => this.press(event);
    document.addEventListener("keydown", this.pressed);
  }

  leave() { document.removeEventListener("keydown", this.pressed); }

  show(data, report) {
    this.keys = new Map(data.keys.map(([key, words, seen]) => [key, seen]));
    this.report = report;
    this.list.replaceChildren(...[...data.keys, ["?", "Show or hide this list"]].flatMap(([key, words]) => {
      const term = document.createElement("dt"), meaning = document.createElement("dd");
      term.textContent = key.toUpperCase();
      meaning.textContent = words;
      return [term, meaning];
    }));
  }

  press(event) {
    if (event.defaultPrevented || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.composedPath()[0].matches?.(TYPED_INTO)) return;
    if (event.key === "?") { this.dialog.open ? this.dialog.close() : this.dialog.showModal(); return; }
    const key = event.key.toLowerCase();
    if (!this.keys.has(key) || this.dialog.open || document.querySelector("[role=dialog]")) return;
    const now = performance.now(), again = this.last?.key === key && now - this.last.at < DOUBLE_MS;
    this.last = { key, at: now };
    if (!again) this.report({ key, seen: this.keys.get(key), at: now });
  }
}
